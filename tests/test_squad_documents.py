"""The documents of the SQuAD retrieval, from each format of source file."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import pytest
from datasets import Dataset

from dataset_builders import InputError
from dataset_builders.sources.squad import DEFAULT_SOURCE, REVISION
from dataset_builders.squad_v2_retrieval import BENCHMARK, _tasks_of, rows
from tests.squad_paragraphs import ANSWERABLE, BUCKETS, PARAGRAPHS, source, squad_rows, words, write


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


def test_the_dictionary_of_the_released_code_gives_its_paragraphs(tmp_path: Path, words: str) -> None:
    """The layout of the released code's file: length > paragraph > [question, answers]."""
    lengths: dict[str, dict[str, list[Any]]] = {"50": {}, "300": {}}
    for title in ANSWERABLE:
        context, questions = PARAGRAPHS[title]
        length = "50" if len(context.split()) < 300 else "300"
        lengths[length][context] = [[question, answers] for question, answers in questions if answers]
    lengths["50"]["one question alone"] = [["Which?", ["one"]]]
    file = tmp_path / "dictionary_squad.json"
    file.write_text(json.dumps(lengths))
    found = {row["prompt"]: row for row in rows(0, None, str(file), words)}
    own = {row["prompt"]: row for row in rows(0, None, str(write(tmp_path / "squad.jsonl")), words)}
    kept = ("answers", "paragraph_tokens")
    assert {p: [r[k] for k in kept] for p, r in found.items()} == {
        p: [r[k] for k in kept] for p, r in own.items()
    }
    assert {row["title"] for row in found.values()} == {"50", "300"}
    assert len({row["id"] for row in found.values()}) == len(ANSWERABLE)


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


def test_the_advice_on_an_empty_range_names_tasks_that_have_paragraphs(source: dict[str, str]) -> None:
    with pytest.raises(InputError, match="has 101 to 104 tokens: it has .* use one of .*_50_100, .*_100_150"):
        rows(101, 105, *source.values())
    assert _tasks_of([100]) == "use one of squad_v2_retrieval_100_150, or "
    assert _tasks_of([99, 400]) == "use one of squad_v2_retrieval_50_100, squad_v2_retrieval_400_plus, or "
    assert _tasks_of([49]) == ""
