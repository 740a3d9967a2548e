"""A small file in SQuAD v2's schema: paragraphs of 50 to 500 tokens about fictional towns.

python -m tests.squad_sample OUT.jsonl
"""

import json
import sys
from pathlib import Path
from random import Random
from typing import Any

_TOWNS = [
    "Varnholm",
    "Orsby",
    "Kelmere",
    "Tolvik",
    "Astrand",
    "Brekke",
    "Lindau",
    "Morvan",
    "Quillan",
    "Ravensby",
]
_PEOPLE = [
    "Ida Holm",
    "Per Lund",
    "Anna Berg",
    "Karl Dahl",
    "Maja Vik",
    "Nils Strand",
    "Eva Krog",
    "Olaf Rye",
]
_RIVERS = ["Lena", "Orra", "Sille", "Tarn", "Ulva", "Vesla"]
_GOODS = ["herring", "wool", "church bells", "glass", "barley beer", "rope", "clocks"]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
_COLOURS = ["red", "green", "yellow", "white", "blue"]

_FACTS = [
    ("{town} was founded in {value}.", "When was {town} founded?", "year"),
    ("The first mayor of {town} was {value}.", "Who was the first mayor of {town}?", "person"),
    ("The river {value} flows through {town}.", "Which river flows through {town}?", "river"),
    ("Merchants came to {town} for its {value}.", "What did merchants come to {town} for?", "good"),
    ("The railway reached {town} in {value}.", "When did the railway reach {town}?", "year"),
    ("The market of {town} is held every {value}.", "On which day is the market of {town} held?", "day"),
    ("The church of {town} was designed by {value}.", "Who designed the church of {town}?", "person"),
    ("The town hall of {town} is painted {value}.", "Which colour is the town hall of {town}?", "colour"),
    (
        "The old bridge of {town} is {value} metres long.",
        "How many metres long is the bridge of {town}?",
        "number",
    ),
]


def _value(kind: str, rng: Random) -> str:
    lists = {"person": _PEOPLE, "river": _RIVERS, "good": _GOODS, "day": _DAYS, "colour": _COLOURS}
    if kind == "year":
        return str(rng.randrange(1200, 1900))
    return str(rng.randrange(20, 400)) if kind == "number" else rng.choice(lists[kind])


def squad_sample(paragraphs: int = 82, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of paragraphs of 4 to 44 facts, with three questions each, of which the last is unanswerable."""
    rng = Random(seed)
    rows: list[dict[str, Any]] = []
    for index in range(paragraphs):
        facts = [(town, *fact) for town in rng.sample(_TOWNS, 5) for fact in _FACTS]
        facts = facts[: 4 + index % 41]
        values = [_value(kind, rng) for *_, kind in facts]
        context = " ".join(s.format(town=t, value=v) for (t, s, _, _), v in zip(facts, values, strict=True))
        asked = rng.sample(range(len(facts)), 2)
        questions = [(facts[i][2].format(town=facts[i][0]), [values[i]]) for i in asked]
        questions.append((f"When did the sea flood {facts[0][0]}?", []))
        rows += [
            {
                "id": f"{index}-{number}",
                "title": facts[0][0],
                "context": context,
                "question": question,
                "answers": {"text": answers, "answer_start": [context.index(a) for a in answers]},
            }
            for number, (question, answers) in enumerate(questions)
        ]
    return rows


def write_squad(file: Path, rows: list[dict[str, Any]] | None = None) -> Path:
    """Write rows (default: the sample) in the format of the file's suffix: .parquet, .json or .jsonl."""
    rows = squad_sample() if rows is None else rows
    if file.suffix == ".parquet":
        from datasets import Dataset

        Dataset.from_list(rows).to_parquet(file)
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows))
    else:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        file.write_text("".join(lines), encoding="utf-8")
    return file


if __name__ == "__main__":
    write_squad(Path(sys.argv[1]))
