"""Invalid SQuAD files, metadata and length ranges are refused in one sentence."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from dataset_builders import InputError
from tests.evaluation import evaluate
from tests.scripted import Scripted
from tests.squad_paragraphs import TASKS, first_gold, source, squad_rows, words


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
        ("squad.json", b"[" * 100_000, "squad.json' cannot be read: maximum recursion depth"),
        ("squad.jsonl", b'"\xff"', "squad.jsonl' cannot be read: 'utf-8' codec"),
        (
            "squad.json",
            b'{"data": [{"title": "a"}]}',
            "its 'data' does not have the structure of SQuAD's .'paragraphs'",
        ),
        (
            "squad.json",
            b'{"50": {"A text.": ["?"]}}',
            "neither rows nor an object of the form .length: .paragraph: ",
        ),
        ("squad.json", b'{"50": {"A text.": [["?", "yes"]]}}', "its row 1 lacks answers.text"),
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
    there = (
        "it has 3 such paragraphs of 49 to 260 tokens; "
        "use one of squad_v2_retrieval_50_100, squad_v2_retrieval_250_300, or pass another 'squad_source'"
    )
    for task, wanted in ((TASKS[1], "100 to 149"), (TASKS[-1], "400 or more")):
        said = f"{re.escape(str(file))}' with two answerable questions has {wanted} tokens: {there}"
        refuse(task, said, squad_source=str(file), tokenizer=words)


def test_a_hub_out_of_reach(words: str) -> None:
    said = (
        "cannot download 'rajpurkar/squad_v2' .split validation, revision 3ffb306. from the Hub: .*; or pass "
        "a local .parquet, .jsonl or .json file in its schema, by --squad-source or, in lm-eval, --metadata "
        '\'{"squad_source": "FILE"}\''
    )
    refuse(TASKS[0], said, tokenizer=words)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (
            {"min_tokens": 60},
            "'min_tokens' is 50 in this task .*; use one of the tasks squad_v2_retrieval_50_100, .*_400_plus",
        ),
        (
            {"squad_sorce": "x"},
            "metadata key 'squad_sorce'; the keys are .*; did you mean 'squad_source'",
        ),
        ({"squad_source": 3}, "squad_source must be a file or a name on the Hub, not 3"),
        ({"tokenizer": ["x"]}, r"tokenizer must be a file or a name on the Hub, not \['x'\]"),
        ({"tokenizer": "none.json"}, "the tokenizer 'none.json' does not exist"),
    ],
)
def test_bad_metadata_is_refused_in_a_sentence(
    source: dict[str, str], metadata: dict[str, Any], said: str
) -> None:
    refuse(TASKS[0], said, **{**source, **metadata})
