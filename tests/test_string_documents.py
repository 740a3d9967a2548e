"""Documents of the string tasks: questions, spelling, and checksums that stay the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256
from dataset_builders.release.checksums import known_checksums
from dataset_builders.sources.tokenizer import load_tokenizer
from dataset_builders.string_benchmarks import BENCHMARKS
from dataset_builders.string_tasks.documents import COLUMNS, SPELLINGS, rows
from lm_eval_tasks import TASKS_FOLDER, answers
from tests.material import neox_tokenizer
from tests.string_examples import NAMES, solve


def examples_in(prompt: str) -> list[tuple[str, str]]:
    """The worked examples of a prompt: each question, which ends in an arrow, and its answer."""
    lines = prompt.split("\n")[:-1]
    return [(line[: line.index("->") + 2], line[line.index("->") + 2 :] + "\n") for line in lines]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("task", NAMES)
@given(length=st.integers(11, 40), seed=st.integers(-(2**70), 2**70), k=st.none() | st.integers(1, 5))
@settings(deadline=None, max_examples=15)
def test_a_document_asks_what_its_prompt_says(
    task: str, spelling: str, length: int, seed: int, k: int | None
) -> None:
    k = None if task in ("duplicate_ngram", "reverse") else k
    for index, row in enumerate(rows(task, length, 4, seed, spelling, settings={"k": k})):
        assert tuple(row) == COLUMNS
        assert row["id"] == f"string_{task}_{length}/seed_{seed}/{index}"
        assert row["length"] == length
        assert len(row["key"]) == (0 if task in ("copy", "reverse") else 3)
        assert answers.forced_letters(row) == solve(row["prompt"], spelling, task, k)
        assert row["answer"] == answers.forced_letters(row).strip(" \n.")
        shown = examples_in(row["prompt"])
        assert len(shown) == (0 if spelling == "symbols" else 2)
        for question, answer in shown:
            assert solve(question, spelling, task, k) == answer


def test_the_spellings_as_documented() -> None:
    asked = {
        (task, spelling): next(rows(task, 8, 1, 0, spelling)) for task in NAMES for spelling in SPELLINGS
    }
    patterns = {
        "copy": "${s}|",
        "reverse": "${s}|",
        "prefix_ngram": "${g}|{s}|",
        "suffix_ngram": "${s}|{g}",
        "duplicate_ngram": "${s}|",
    }
    for task, pattern in patterns.items():
        plain = asked[task, "plain"]
        fields = plain["prompt"].split("\n")[-1].removesuffix(" ->").split(" | ")
        string = max(fields, key=len)
        symbols = asked[task, "symbols"]
        assert symbols["prompt"] == pattern.format(s=string, g=symbols["key"])
        assert symbols["answer"] == plain["answer"]
        spaced = asked[task, "spaced"]
        assert spaced["answer"] == " ".join(plain["answer"])
        lines = [line.replace(" ", "") for line in spaced["prompt"].split("\n")]
        assert lines == [line.replace(" ", "") for line in plain["prompt"].split("\n")]
        assert "  " not in spaced["prompt"] + plain["prompt"]


@given(task=st.sampled_from(NAMES), count=st.integers(1, 300), more=st.integers(0, 300))
@settings(deadline=None, max_examples=15)
def test_more_documents_change_none(task: str, count: int, more: int) -> None:
    few = list(rows(task, 8, count, 3, "plain"))
    assert list(rows(task, 8, count + more, 3, "plain"))[:count] == few


def test_documents_differ_between_tasks_lengths_seeds_arguments_and_blocks() -> None:
    def strings(task: str, length: int, seed: int, **more: Any) -> list[str]:
        return [row["prompt"][:8] for row in rows(task, length, 1, seed, "symbols", **more)]

    made = [
        *(strings("copy", length, seed) for length in (20, 21) for seed in (0, 1)),
        strings("duplicate_ngram", 20, 0),
        *(
            strings("suffix_ngram", 20, 0, **more)
            for more in ({}, {"settings": {"n": 4}}, {"settings": {"k": 2}}, {"vocabulary": 25})
        ),
    ]
    assert len({string for (string,) in made}) == len(made)
    prompts = [row["prompt"] for row in rows("copy", 20, 1000, 0, "spaced")]
    lines = [line for prompt in prompts for line in prompt.replace(" ->", " -> ").split("\n")]
    assert len({line.split(" -> ")[0] for line in lines}) == 3000


def test_documents_of_several_lengths_can_be_made_at_the_same_time() -> None:
    """Also across blocks; the checksums of the release are compared in a process with its own hash seed."""

    def made(length: int) -> Iterator[dict[str, Any]]:
        return rows("suffix_ngram", length, 300, 5, "spaced")

    together = list(zip(made(20), made(60), strict=True))
    assert list(zip(list(made(20)), list(made(60)), strict=True)) == together


def test_the_released_checksums_are_those_of_the_documents() -> None:
    for benchmark in BENCHMARKS:
        assert tuple(benchmark.columns) == COLUMNS
        for config in benchmark.configs():
            documents = list(benchmark.builder(**config.arguments))
            assert len(documents) == 500
            assert content_sha256(documents) == known_checksums()[config.name]


def test_the_documents_in_the_readme_are_the_first_ones() -> None:
    readme = (Path(TASKS_FOLDER) / "strings" / "README.md").read_text()
    for spelling in SPELLINGS:
        row = next(rows("suffix_ngram", 20, 1, 0, spelling))
        assert f"```\n{row['prompt']}\n```" in readme
        assert f"{row['answer']}`" in readme


def test_a_vocabulary_of_numbers() -> None:
    (row,) = rows("suffix_ngram", 9, 1, 0, "symbols", vocabulary=300, settings={"k": 2})
    start, *string, bar, a, b, c = row["prompt"].split(" ")
    assert (start, bar, len(string)) == ("$", "|", 9) and all(0 <= int(letter) < 300 for letter in string)
    at = string.index(a)
    assert string[at : at + 3] == [a, b, c] == row["key"].split(" ")
    assert row["answer"] == " ".join(string[at + 3 : at + 5])
    (spaced,) = rows("suffix_ngram", 9, 1, 0, "spaced", vocabulary=300, settings={"k": 2})
    assert spaced["answer"] == row["answer"]
    assert spaced["prompt"].split("\n")[-1] == f"{' '.join(string)} | {a} {b} {c} ->"
    with pytest.raises(InputError, match="spaces between them; use the spelling spaced"):
        rows("copy", 9, 1, 0, "plain", vocabulary=27)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("copy", "20", 1, 0, "plain"), "length must be an integer of at least 1, not '20'"),
        (("copy", 20, 0, 0, "plain"), "num_docs must be an integer of at least 1, not 0"),
        (("copy", 20, 1, 0.5, "plain"), "seed must be an integer, not 0.5"),
        (("cpy", 20, 1, 0, "plain"), "did you mean 'copy'"),
        (("copy", 20, 1, 0, "loud"), "spelling must be one of symbols, plain, spaced, not 'loud'"),
        (("duplicate_ngram", 5, 1, 0, "plain"), "needs strings of at least 6 letters, not 5"),
    ],
)
def test_documents_that_cannot_be_are_refused_at_once(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        rows(*arguments)


def test_the_tasks_that_exceed_2048_tokens_are_those_in_the_document() -> None:
    text = " ".join((Path(TASKS_FOLDER) / "strings/README.md").read_text(encoding="utf-8").split())
    tokenizer = load_tokenizer(str(neox_tokenizer()))
    long = [
        f"`{one.name}_{length}`"
        for one in BENCHMARKS
        for length in one.lengths.standard
        if len(tokenizer.encode(next(iter(one.builder(length, 1)))["prompt"])) + length > 2048
    ]
    assert f"all but {' and '.join(long)} fit a window of 2,048 tokens" in text
