"""Paragraphs in SQuAD v2's schema, one for each special case."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from tests.squad_sample import write_squad

BUCKETS = (50, 100, 150, 200, 250, 300, 350, 400)
TASKS = [f"squad_v2_retrieval_{n}_{'plus' if n == 400 else n + 50}" for n in BUCKETS]

_TALK = (
    "Ferries crossed the sound at dawn and carried grain, wool and letters to the islands. "
    "Keepers wrote down the weather twice a day. Few storms were as long as those of spring. "
)

Question = tuple[str, list[str]]


def text(opening: str, words: int) -> str:
    """A paragraph with this number of words that starts with ``opening``."""
    return " ".join((opening.split() + _TALK.split() * 20)[:words])


# context, questions with their gold answers; none where SQuAD has the question unanswerable
PARAGRAPHS: dict[str, tuple[str, list[Question]]] = {
    "too short": (
        text("Oats feed horses; barley feeds people.", 49),
        [("What feeds horses?", ["Oats"]), ("What feeds people?", ["barley"])],
    ),
    "least": (
        text("The lighthouse of Varn was built by Ida Holm in 1788.", 50),
        [
            ("Who built the lighthouse?", ["Ida Holm", "Holm"]),
            ("When was it built?", ["1788", "in 1788", "1788"]),
        ],
    ),
    "just below 100": (
        text("Its lamp burned herring oil until 1840.", 99),
        [("Until when did it burn oil?", ["1840"]), ("What did the lamp burn?", ["herring oil", "oil"])],
    ),
    "just 100": (
        text("The bell of Orsa weighs nine tonnes.", 100),
        [("What weighs nine tonnes?", ["The bell of Orsa"]), ("What is its weight?", ["nine tonnes"])],
    ),
    "one answerable": (
        text("Canals froze in that winter.", 120),
        [("What froze?", ["Canals"]), ("What thawed in that winter?", [])],
    ),
    "third is asked": (
        text("A rook nests in the tower, a stork on the roof.", 160),
        [
            ("What nests in the cellar?", []),
            ("What nests in the tower?", ["A rook", "rook"]),
            ("What nests on the well?", []),
            ("What nests on the roof?", ["a stork", "stork", "a stork"]),
            ("Where does the rook nest?", ["in the tower"]),
        ],
    ),
    "none answerable": (
        text("Nobody knows the mason.", 170),
        [("Who was he?", []), ("Where did he live?", [])],
    ),
    "210": (
        text("Red clay came from Tolna, white sand from Brede.", 210),
        [("Where is the clay from?", ["Tolna"]), ("Where is the sand from?", ["Brede"])],
    ),
    "260": (
        text("Mills ground 40 sacks a day and employed six men.", 260),
        [("How many sacks a day?", ["40 sacks", "40"]), ("How many men worked there?", ["six men", "six"])],
    ),
    "300": (
        text("In the “Long Year” bread cost three marks – twice the old price.", 300),
        [("What cost three marks?", ["bread"]), ("What was it called?", ["“Long Year”", "Long Year"])],
    ),
    "350": (
        text("Gustav Lind mapped the coast, his sister Karin the stars.", 350),
        [
            ("Who mapped the coast?", ["Gustav Lind"]),
            ("Who mapped the stars?", ["Karin", "his sister Karin"]),
        ],
    ),
    "400": (
        text("Eels sleep in mud.", 400),
        [("What sleeps?", ["Eels"]), ("Where do eels sleep?", ["in mud", "mud"])],
    ),
    "longest": (
        text("Tar was boiled in pits near Aske.", 452),
        [("What was boiled?", ["Tar"]), ("Near which place?", ["Aske", "near Aske"])],
    ),
}

ANSWERABLE = [
    title for title, (_, asked) in PARAGRAPHS.items() if sum(bool(golds) for _, golds in asked) >= 2
]


def squad_rows() -> list[dict[str, Any]]:
    """The paragraphs in SQuAD v2's schema; the second question of the first is at the end of the file."""
    found = [
        {
            "id": f"{title}/{number}",
            "title": title,
            "context": context,
            "question": question,
            "answers": {"text": golds, "answer_start": [max(context.find(gold), 0) for gold in golds]},
        }
        for title, (context, asked) in PARAGRAPHS.items()
        for number, (question, golds) in enumerate(asked)
    ]
    return [found[0], *found[2:], found[1]]


def own_json() -> dict[str, Any]:
    """The paragraphs in the format in which SQuAD is published."""
    articles: dict[str, list[dict[str, Any]]] = {}
    for row in squad_rows():
        answers = [{"text": gold, "answer_start": 0} for gold in row["answers"]["text"]]
        question = {
            "id": row["id"],
            "question": row["question"],
            "answers": answers,
            "is_impossible": not answers,
        }
        articles.setdefault(row["title"], [{"context": row["context"], "qas": []}])[0]["qas"].append(question)
    return {"version": "v2.0", "data": [{"title": t, "paragraphs": found} for t, found in articles.items()]}


def write(file: Path) -> Path:
    """Write the paragraphs in the format of the file's name; .json may be SQuAD's own, lines or a list."""
    if file.name == "own.json":
        file.write_text(json.dumps(own_json()))
        return file
    if file.name == "lines.json":
        return write_squad(file.with_suffix(".jsonl"), squad_rows()).rename(file)
    return write_squad(file, squad_rows())


@pytest.fixture
def words(tmp_path: Path) -> str:
    """A tokenizer.json that makes every word one token."""
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    return str(file)


@pytest.fixture
def source(tmp_path: Path, words: str) -> dict[str, str]:
    """The metadata with which tasks read this test's paragraphs."""
    return {"squad_source": str(write(tmp_path / "squad.parquet")), "tokenizer": words}


def golds(prompt: str) -> Sequence[str]:
    question = prompt.rsplit("Question: ", 1)[1].removesuffix("\nAnswer:")
    return next(g for _, asked in PARAGRAPHS.values() for q, g in asked if q == question)


def first_gold(prompt: str) -> str:
    return f" {golds(prompt)[0]}\n\nQuestion: What is next?"
