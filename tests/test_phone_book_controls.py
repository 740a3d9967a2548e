"""The documents of the controls, paired with those of phone_book."""

import re
from pathlib import Path
from random import Random
from typing import Any

import names
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builders import InputError, phone_book
from dataset_builders.benchmark import Benchmark, Config
from dataset_builders.checksum import content_sha256
from dataset_builders.phone_book_controls.benchmarks import GAP, MULTI, QUERY_FIRST
from dataset_builders.phone_book_controls.documents import gap_rows, multi_rows, query_first_rows, questions
from dataset_builders.release.checksums import known_checksums
from dataset_builders.sources.neutral_text import neutral_text

sizes, seeds = st.integers(3, 30), st.integers(-(2**40), 2**40)
positions = st.none() | st.floats(0, 1)


@given(entries=sizes, seed=seeds, position=positions)
def test_an_announced_name_stands_before_the_document_of_phone_book(
    entries: int, seed: int, position: float | None
) -> None:
    pairs = phone_book.rows(entries, 3, seed, position)
    announced = query_first_rows(entries, 3, seed, position)
    useless = query_first_rows(entries, 3, seed, position, announced="example")
    for row, useful, other in zip(pairs, announced, useless, strict=True):
        name = row["prompt"].rpartition("\n")[2].removesuffix(":")
        example = row["prompt"].split("\n\n")[1].partition(":")[0]
        assert useful["prompt"] == f"Find the number of {name}.\n\n{row['prompt']}"
        assert other["prompt"] == f"Find the number of {example}.\n\n{row['prompt']}"
        rest = {key: value for key, value in row.items() if key not in ("id", "prompt")}
        assert rest.items() <= useful.items() and rest.items() <= other.items()
        assert useful["pair"] == other["pair"] == row["id"]
        assert len({useful["id"], other["id"], row["id"]}) == 3


@given(gap=st.integers(1, 80), entries=sizes, seed=seeds, position=positions)
def test_a_gap_is_text_between_the_book_and_the_examples(
    gap: int, entries: int, seed: int, position: float | None
) -> None:
    pairs = phone_book.rows(entries, 3, seed, position)
    for row, far in zip(pairs, gap_rows(gap, entries, 3, seed, position), strict=True):
        book, text, *rest = far["prompt"].split("\n\n")
        assert "\n\n".join([book, *rest]) == row["prompt"]
        assert len(text.split()) == gap == far["gap"]
        same = {key: value for key, value in row.items() if key not in ("id", "prompt")}
        assert same.items() <= far.items() and far["pair"] == row["id"]


@given(seed=seeds, count=st.integers(1, 10), more=st.integers(0, 8))
def test_questions_on_one_book_are_different_entries(seed: int, count: int, more: int) -> None:
    entries = count + 2 + more
    pairs = phone_book.rows(entries, 3, seed)
    for row, several in zip(pairs, multi_rows(entries, 3, seed, count), strict=True):
        assert several["prompt"] == row["prompt"] and several["pair"] == row["id"]
        book, examples, _ = row["prompt"].split("\n\n")
        shown, asked = examples.split("\n"), questions(several)
        for question in asked:
            *before, query = question["prompt"].split("\n\n")
            assert before == [book, "\n".join(shown)] and question["id"] == several["id"]
            shown.append(f"{query} {question['answer']}")
        assert len(set(shown)) == 2 + count and set(shown) <= set(book.split("\n"))
        assert [question["answer"] for question in asked] == several["answers"]
        assert asked[0] == several


def test_more_questions_change_none_of_the_others() -> None:
    few, many = list(multi_rows(20, 4, 1, questions=3)), list(multi_rows(20, 4, 1, questions=18))
    assert [row["queries"] for row in few] == [row["queries"][:3] for row in many]


@given(entries=sizes, seed=seeds)
def test_a_removed_entry_is_the_only_difference(entries: int, seed: int) -> None:
    plain = phone_book.rows(entries, 2, seed)
    announced, far = query_first_rows(entries, 2, seed), gap_rows(5, entries, 2, seed)
    for row in (*plain, *announced, *far):
        without = phone_book.without_query(row)
        name = row["prompt"].rpartition("\n")[2]
        lines, left = row["prompt"].split("\n"), without.split("\n")
        lines.remove(f"{name} {row['answer']}")
        assert left == lines and row["answer"] not in without


@pytest.mark.parametrize("seed", range(5))
def test_neutral_text_has_neither_digits_nor_names(seed: int) -> None:
    text = neutral_text(Random(seed), 800)
    lines = "".join(Path(file).read_text(encoding="ascii") for file in names.FILES.values()).splitlines()
    people = {line.split()[0] for line in lines}
    words = re.findall(r"[A-Za-z]+", text)
    assert re.fullmatch(r"[A-Za-z ,.]+\.", text) and len(text.split()) == 800
    assert not {word.upper() for word in words if word[0].isupper()} & people
    assert not re.search(r"\b(a|A) [aeiou]", text)
    for shorter in (1, 7, 300):
        cut = neutral_text(Random(seed), shorter)
        assert text.startswith(cut.removesuffix("."))


RELEASED = [config for benchmark in (QUERY_FIRST, GAP, MULTI) for config in benchmark.configs()]


@pytest.mark.parametrize(
    "config",
    [pytest.param(c, marks=[pytest.mark.slow] * (c.arguments["entries"] > 20), id=c.name) for c in RELEASED],
)
def test_the_released_checksums_are_those_of_the_documents(config: Config) -> None:
    documents = list(config.benchmark.builder(**config.arguments))
    assert list(documents[0]) == list(config.benchmark.columns)
    assert len({document["id"] for document in documents}) == 500
    assert content_sha256(documents) == known_checksums()[config.name]


@pytest.mark.parametrize(
    ("benchmark", "arguments", "said"),
    [
        (QUERY_FIRST, {"entries": 20, "announced": "no"}, "one of query, example, not 'no'"),
        (QUERY_FIRST, {"entries": 2}, "entries must be an integer of at least 3, not 2"),
        (QUERY_FIRST, {"entries": 20, "position": 2}, "position must be a number from 0"),
        (GAP, {"gap": 0}, "gap must be an integer of at least 1, not 0"),
        (GAP, {"gap": 1, "entries": "x"}, "entries must be an integer"),
        (MULTI, {"entries": 20, "questions": 19}, "has 18 besides the two examples, fewer than 19 questions"),
        (MULTI, {"entries": 20, "questions": True}, "questions must be an integer"),
        (MULTI, {"entries": 20, "questions": 0}, "questions must be an integer of at least 1, not 0"),
        (MULTI, {"entries": 20, "num_docs": 0}, "num_docs must be an integer of at least 1"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused_at_once(
    benchmark: Benchmark, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        benchmark.builder(**arguments)
