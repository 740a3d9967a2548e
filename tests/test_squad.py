# ruff: noqa: RUF001  quotes that look alike are what is tested
"""The SQuAD retrieval: its documents, its scores, its tasks, on paragraphs written for this test."""

import json
import logging
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, models, pre_tokenizers

from dataset_builders import InputError
from dataset_builders.sources.squad import DEFAULT_SOURCE, REVISION
from dataset_builders.squad_v2_retrieval import BENCHMARK, rows
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.answers import paragraph_answer as generated
from lm_eval_tasks.metrics import squad_exact_match, squad_f1, squad_normalize
from tests.scripted import Scripted
from tests.test_tasks import evaluate, scores

BUCKETS = (50, 100, 150, 200, 250, 300, 350, 400)
TASKS = [f"squad_v2_retrieval_{n}_{'plus' if n == 400 else n + 50}" for n in BUCKETS]

_TALK = (
    "Ferries crossed the sound at dawn and carried grain, wool and letters to the islands. "
    "Keepers wrote down the weather twice a day. Few storms were as long as those of spring. "
)

Question = tuple[str, list[str]]


def text(opening: str, words: int) -> str:
    """A paragraph of so many words that starts with ``opening``."""
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
    """The paragraphs in SQuAD v2's schema; the first one's second question stands last in the file."""
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
    """The paragraphs as SQuAD itself is published."""
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
    """The paragraphs in the format of the file's name."""
    if file.suffix == ".parquet":
        Dataset.from_list(squad_rows()).to_parquet(file)
    elif file.name == "own.json":
        file.write_text(json.dumps(own_json()))
    elif file.name == "list.json":
        file.write_text(json.dumps(squad_rows()))
    else:
        lines = [json.dumps(row, ensure_ascii=False) for row in squad_rows()]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


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
    """The metadata that has the tasks read this test's paragraphs."""
    return {"squad_source": str(write(tmp_path / "squad.parquet")), "tokenizer": words}


# ---- documents


def test_one_document_to_the_letter(source: dict[str, str]) -> None:
    (row,) = rows(150, 200, *source.values())
    assert row == {
        "id": "squad_v2_retrieval_150_200/third is asked/3",
        "prompt": PARAGRAPHS["third is asked"][0]
        + "\n\nQuestion: What nests in the tower?\nAnswer: A rook"
        + "\n\nQuestion: What nests on the roof?\nAnswer:",
        "answers": ["a stork", "stork"],
        "title": "third is asked",
        "paragraph_tokens": 160,
    }
    assert tuple(row) == tuple(BENCHMARK.columns)


@pytest.mark.parametrize("name", ["squad.parquet", "squad.jsonl", "lines.json", "list.json", "own.json"])
def test_each_format_gives_the_same_paragraphs_in_the_order_of_the_file(
    tmp_path: Path, words: str, name: str
) -> None:
    found = rows(0, None, str(write(tmp_path / name)), words)
    assert [row["title"] for row in found] == ANSWERABLE
    assert [row["paragraph_tokens"] for row in found] == [len(PARAGRAPHS[t][0].split()) for t in ANSWERABLE]
    assert [row["answers"] for row in found[:2]] == [["barley"], ["1788", "in 1788"]]
    assert len({row["id"] for row in found}) == len(found)


def test_buckets_part_the_paragraphs(source: dict[str, str]) -> None:
    bounds = [*pairwise(BUCKETS), (400, None)]
    lengths = [[row["paragraph_tokens"] for row in rows(*bound, *source.values())] for bound in bounds]
    assert lengths == [[50, 99], [100], [160], [210], [260], [300], [350], [400, 452]]


def test_a_document_can_be_changed_and_the_next_is_whole(source: dict[str, str]) -> None:
    rows(50, 100, *source.values())[0]["answers"].clear()
    assert rows(50, 100, *source.values())[0]["answers"] == ["1788", "in 1788"]


def test_line_separators_inside_json_strings(tmp_path: Path, words: str) -> None:
    table = [row | {"context": row["context"] + " a\u2028b"} for row in squad_rows()]
    file = tmp_path / "squad.jsonl"
    file.write_text("\n".join(json.dumps(row, ensure_ascii=False) for row in table), encoding="utf-8")
    assert "a\u2028b" in rows(0, None, str(file), words)[0]["prompt"]


def test_the_default_is_a_pinned_revision_of_the_hub(words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load_dataset(*names: str, **options: str) -> Dataset:
        asked.append((names, options))
        return Dataset.from_list(squad_rows())

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert len(rows(50, 100, tokenizer=words)) == 2
    assert len(rows(400, None, tokenizer=words)) == 2
    assert asked == [((DEFAULT_SOURCE,), {"split": "validation", "revision": REVISION})]


# ---- scores


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("The  Bell\tof\nOrsa", "bell of orsa"),
        ("a theatre, an anthem, the end", "theatre anthem end"),
        ("bath Athena the", "bath athena"),
        ("grey_seal__pup", "grey seal pup"),
        ("U.S. (1788)", "u s 1788"),
        ("‘Long’ ´Year` don’t", "long year don t"),
        ("“Long” – Year", "“long” – year"),
        ("?!...", ""),
        ("A-the-an", ""),
        ("", ""),
        ("Ærø", "ærø"),
    ],
)
def test_normal_form(raw: str, normal: str) -> None:
    assert squad_normalize(raw) == normal


@pytest.mark.parametrize(
    ("prediction", "answers", "exact", "f1"),
    [
        ("1788", ["1788"], 1.0, 1.0),
        (" The herring-oil.", ["herring oil"], 1.0, 1.0),
        ("herring_oil", ["Herring Oil"], 1.0, 1.0),
        ("herringoil", ["herring oil"], 0.0, 0.0),
        ("‘stork’", ["stork"], 1.0, 1.0),
        ("“stork”", ["stork"], 0.0, 0.0),
        ("in 1788", ["1788"], 0.0, 2 / 3),
        ("Holm", ["Ida Holm", "Holm"], 1.0, 1.0),
        ("Ida", ["Ida Holm", "Ida Karin Holm"], 0.0, 2 / 3),
        ("Holm Ida", ["Ida Holm"], 0.0, 1.0),
        ("oil oil oil", ["oil"], 0.0, 1 / 2),
        ("oil oil", ["oil and oil"], 0.0, 4 / 5),
        ("athe", ["the a the"], 0.0, 0.0),
        ("theatre", ["atre"], 0.0, 0.0),
        ("", ["1788"], 0.0, 0.0),
        ("", ["?", "1788"], 1.0, 1.0),
        ("!!", ["the"], 1.0, 1.0),
        ("1788", ["the"], 0.0, 0.0),
        ("the", [], 1.0, 1.0),
        ("1788", [], 0.0, 0.0),
    ],
)
def test_scores_of_an_answer(prediction: str, answers: list[str], exact: float, f1: float) -> None:
    assert squad_exact_match(prediction, answers) == exact
    assert squad_f1(prediction, answers) == pytest.approx(f1)


TEXTS = st.text(st.sampled_from("aAbthe _.’ \n1é"), max_size=12) | st.text(max_size=12)


@given(TEXTS, st.lists(TEXTS, max_size=4))
def test_properties_of_the_scores(prediction: str, answers: list[str]) -> None:
    exact, f1 = squad_exact_match(prediction, answers), squad_f1(prediction, answers)
    assert exact in (0.0, 1.0)
    assert exact <= f1 <= 1.0
    assert squad_f1(squad_normalize(prediction), answers) == f1
    assert (f1, exact) == (squad_f1(prediction, answers[::-1]), squad_exact_match(prediction, answers[::-1]))
    if answers:
        assert f1 == max(squad_f1(prediction, [answer]) for answer in answers)
        assert squad_exact_match(answers[-1], answers) == squad_f1(answers[-1], answers) == 1.0


@given(TEXTS, TEXTS)
def test_properties_of_the_normal_form_and_of_f1(a: str, b: str) -> None:
    normal = squad_normalize(a)
    assert squad_normalize(normal) == normal == squad_normalize(f"  The {a} ")
    assert not set(normal.split()) & {"a", "an", "the"}
    assert squad_f1(a, [b]) == squad_f1(b, [a])


@pytest.mark.parametrize(
    ("generation", "exact"),
    [
        (" 1788", 1.0),
        (" 1788\n\nQuestion: And then?", 1.0),
        (" 1788<|endoftext|>Another text", 1.0),
        (" 1788<|endoftext|>\n\n", 1.0),
        (" 1788\n", 1.0),
        (" 1788\nQuestion: And then?", 0.0),
        ("\n\n1788", 0.0),
        ("<|endoftext|>1788", 0.0),
    ],
)
def test_a_generated_answer_ends_at_an_empty_line_or_the_end_of_text(generation: str, exact: float) -> None:
    assert generated({"answers": ["1788"]}, [generation])["em"] == exact


# ---- tasks


def golds(prompt: str) -> Sequence[str]:
    question = prompt.rsplit("Question: ", 1)[1].removesuffix("\nAnswer:")
    return next(g for _, asked in PARAGRAPHS.values() for q, g in asked if q == question)


def first_gold(prompt: str) -> str:
    return f" {golds(prompt)[0]}\n\nQuestion: What is next?"


def example(prompt: str) -> str:
    return prompt.split("Answer:")[1].split("\n")[0] + "\n\n"


@pytest.mark.parametrize(
    ("rule", "exact", "f1"),
    [
        (first_gold, 1.0, 1.0),
        (lambda prompt: f"The {golds(prompt)[-1].upper()}!<|endoftext|>", 1.0, 1.0),
        (example, 0.0, 0.0),
        (lambda prompt: "", 0.0, 0.0),
        (lambda prompt: "\n\n" + golds(prompt)[0], 0.0, 0.0),
        (lambda prompt: f"{golds(prompt)[0]} {golds(prompt)[0]}", 0.0, 2 / 3),
    ],
    ids=["first-gold", "last-gold-shouted", "example", "silent", "empty-line", "twice"],
)
def test_a_rule_gets_the_score_that_it_should(
    source: dict[str, str], rule: Callable[[str], str], exact: float, f1: float
) -> None:
    results = evaluate(Scripted(rule), "squad_v2_retrieval", **source)
    assert [name for name in results["results"] if name != "squad_v2_retrieval"] == TASKS
    for task in [*TASKS, "squad_v2_retrieval"]:
        got = scores(results, task)
        assert (got["em"], got["f1"], got["truncated"]) == (exact, pytest.approx(f1), 0.0)


def test_the_group_is_the_mean_over_lengths(source: dict[str, str]) -> None:
    def short_memory(prompt: str) -> str:
        return first_gold(prompt) if len(prompt.split("\n\n")[0].split()) < 270 else " no idea"

    results = evaluate(Scripted(short_memory), "squad_v2_retrieval", **source)
    assert [scores(results, task)["f1"] for task in TASKS] == [1, 1, 1, 1, 1, 0, 0, 0]
    assert scores(results, "squad_v2_retrieval")["f1"] == pytest.approx(5 / 8)
    assert "f1_stderr" in scores(results, TASKS[0])


def test_a_sample_and_the_metadata_of_a_result(source: dict[str, str]) -> None:
    results = evaluate(Scripted(first_gold), TASKS[0], **source)
    for sample, row in zip(results["samples"][TASKS[0]], rows(50, 100, *source.values()), strict=True):
        assert sample["doc"] == row
        assert sample["arguments"][0][0] == row["prompt"]
        assert sample["arguments"][0][1] == {"until": ["\n\n"], "do_sample": False, "max_gen_toks": 200}
        assert sample["target"] == row["answers"]
    metadata = results["configs"][TASKS[0]]["metadata"]
    said = {key: metadata[key] for key in ("benchmark", "length", "unit", "max_tokens", "squad_source")}
    assert said == {
        "benchmark": "squad_v2_retrieval",
        "length": 50,
        "unit": "tokens",
        "max_tokens": 100,
        "squad_source": source["squad_source"],
    }
    assert len(metadata["tokenizer_sha256"]) == len(metadata["documents_sha256"]) == 64


def test_prompts_that_do_not_fit_are_wrong(source: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    lengths = [len(row["prompt"]) for row in rows(400, None, *source.values())]
    window = min(lengths) + 200  # characters are tokens; the shorter one fits with 200 new tokens
    with caplog.at_level(logging.WARNING):
        results = evaluate(Scripted(first_gold, window), TASKS[-1], **source)
    got = scores(results, TASKS[-1])
    assert (got["em"], got["f1"], got["truncated"]) == (0.5, 0.5, 0.5)
    assert any(f"{TASKS[-1]}: 1 of 2 prompts" in record.getMessage() for record in caplog.records)


def test_the_group_loads_every_task(source: dict[str, str]) -> None:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=source)
    loaded = manager.load(["squad_v2_retrieval"])["tasks"]
    assert list(loaded) == TASKS
    assert [task.config.metadata["length"] for task in loaded.values()] == list(BUCKETS)


def test_a_release_in_a_folder_gives_the_same_documents(tmp_path: Path, source: dict[str, str]) -> None:
    (tmp_path / TASKS[0]).mkdir()
    Dataset.from_list(rows(50, 100, *source.values())).to_parquet(tmp_path / TASKS[0] / "test.parquet")
    built = evaluate(Scripted(first_gold), TASKS[0], **source)
    read = evaluate(Scripted(first_gold), TASKS[0], dataset=str(tmp_path))
    assert scores(built, TASKS[0]) == scores(read, TASKS[0])
    assert [s["doc"] for s in built["samples"][TASKS[0]]] == [s["doc"] for s in read["samples"][TASKS[0]]]


# ---- errors


def refuse(task: str, said: str, **metadata: Any) -> None:
    with pytest.raises(InputError, match=f"^{task}: .*{said}") as refusal:
        evaluate(Scripted(first_gold), task, **metadata)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "none.jsonl",
            None,
            r"none.jsonl' does not exist; pass a .parquet, .jsonl or .json file .*, or omit",
        ),
        (
            "squad.csv",
            b"id,title",
            r"squad.csv' has an unknown file extension; pass a .parquet, .jsonl or .json",
        ),
        ("squad.parquet", b"PAR1", "squad.parquet' cannot be read: .*; pass a complete"),
        ("squad.jsonl", b'{"id": "a"}\n{"id"', "squad.jsonl' cannot be read: line 2 is not JSON"),
        ("squad.jsonl", b'"\xff"', "squad.jsonl' cannot be read: 'utf-8' codec"),
        ("squad.json", b'{"data": [{"title": "a"}]}', "its 'data' is not laid out as SQuAD's .'paragraphs'"),
        ("squad.json", b"[3]", "its row 1 lacks id, title, context, question, answers; the columns"),
        ("squad.jsonl", b"", "squad.jsonl' has no paragraph with two answerable questions; pass another"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_a_sentence(
    tmp_path: Path, words: str, name: str, content: bytes | None, said: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    refuse(TASKS[0], said, squad_source=str(tmp_path / name), tokenizer=words)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"context": None, "question": 3},
            "row 2 lacks context, question; the columns id, title, .* strings",
        ),
        ({"answers": ["1788"]}, "row 2 lacks answers;"),
        ({"answers": {"answer_start": []}}, "row 2 lacks answers.text;"),
        ({"answers": {"text": [1788]}}, "row 2 lacks answers.text;"),
        ({"answers": {"text": ["\ud800"]}}, "row 2 lacks answers.text;"),
        ({"context": "a lone \udfff"}, "row 2 lacks context;"),
    ],
)
def test_missing_columns_are_named(tmp_path: Path, words: str, changed: dict[str, Any], said: str) -> None:
    table = squad_rows()
    table[1] |= changed
    file = tmp_path / "squad.json"
    file.write_text(json.dumps(table))
    refuse(TASKS[0], said, squad_source=str(file), tokenizer=words)


def test_missing_columns_of_a_parquet_file_are_named(tmp_path: Path, words: str) -> None:
    file = tmp_path / "squad.parquet"
    Dataset.from_list(squad_rows()).remove_columns(["title", "answers"]).to_parquet(file)
    refuse(TASKS[0], "row 1 lacks title, answers;", squad_source=str(file), tokenizer=words)


def test_an_empty_bucket_says_what_there_is(tmp_path: Path, words: str) -> None:
    file = tmp_path / "squad.json"
    table = [row for row in squad_rows() if row["title"] in ("too short", "just below 100", "260")]
    file.write_text(json.dumps(table))
    there = "it has 3 such paragraphs of 49 to 260 tokens"
    for task, wanted in ((TASKS[1], "100 to 149"), (TASKS[-1], "400 or more")):
        said = f"{re.escape(str(file))}' with two answerable questions has {wanted} tokens: {there}"
        refuse(task, said, squad_source=str(file), tokenizer=words)


def test_a_hub_out_of_reach(words: str) -> None:
    said = (
        "'rajpurkar/squad_v2' .split validation, revision 3ffb306. cannot be downloaded from the Hub: .*; "
        "pass a "
        "local .parquet, .jsonl or .json file in its schema, by --squad-source or, in lm-eval, --metadata "
        '\'{"squad_source": "FILE"}\''
    )
    refuse(TASKS[0], said, tokenizer=words)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"min_tokens": 60}, "'min_tokens' is 50 in this task"),
        ({"squad_sorce": "x"}, "unknown metadata key 'squad_sorce'; did you mean 'squad_source'?"),
        ({"squad_source": 3}, "squad_source must be a file or a name on the Hub, not 3"),
        ({"tokenizer": ["x"]}, r"tokenizer must be a file or a name on the Hub, not \['x'\]"),
        ({"tokenizer": "none.json"}, "the tokenizer 'none.json' does not exist"),
    ],
)
def test_bad_metadata_is_refused_in_a_sentence(
    source: dict[str, str], metadata: dict[str, Any], said: str
) -> None:
    refuse(TASKS[0], re.escape(said) if "?" in said else said, **{**source, **metadata})


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ((-1, 50), "min_tokens must be an integer of at least 0, not -1"),
        ((True, 50), "min_tokens must be an integer of at least 0, not True"),
        ((50, 50), "max_tokens must be an integer greater than 50, not 50"),
        ((50, "60"), "max_tokens must be an integer greater than 50, not '60'"),
    ],
)
def test_bad_bounds_are_refused(source: dict[str, str], bounds: tuple[Any, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        rows(*bounds, *source.values())
