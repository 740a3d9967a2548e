"""Wrong answers about phone books: scripted answers with each error, and their counts in the report."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_builders import InputError, phone_book
from lm_eval_tasks import phone_book_errors as of
from lm_eval_tasks.phone_book_errors import ERRORS, classify
from lm_eval_tasks.results.errors import TRUNCATED, Errors, count_errors, error_table
from lm_eval_tasks.results.rows import read_scores
from lm_eval_tasks.results.sample_plots import draw_errors
from lm_eval_tasks.results.samples import logged
from tests.result_files import log_answers, result_file

Row = dict[str, Any]


def book(row: Row) -> list[str]:
    return [line[-10:] for line in row["prompt"].split("\n\n")[0].split("\n")]


def places(row: Row, kind: str) -> list[int]:
    """The other entries of a document, by their relation to the query."""
    numbers, query = book(row), row["query_position"]
    examples = [numbers.index(line[-10:]) for line in row["prompt"].split("\n\n")[1].split("\n")]
    rest = [i for i in range(len(numbers)) if i != query and i not in examples]
    return {
        "example": examples,
        "neighbour": [i for i in rest if abs(i - query) == 1],
        "earlier": [i for i in rest if i < query - 1],
        "later": [i for i in rest if i > query + 1],
    }[kind]


def changed(number: str, *digits: int) -> str:
    return "".join(str((int(d) + 5) % 10) if i in digits else d for i, d in enumerate(number))


def splice(row: Row, cut: int = 5) -> str:
    """The beginning of one entry and the end of another that differs in nearly every digit."""
    first, *others = book(row)
    last = max(others, key=lambda other: sum(a != b for a, b in zip(first, other, strict=True)))
    return first[:cut] + last[cut:]


SCRIPTS: dict[str, Callable[[Row], str]] = {
    of.NO_ANSWER: lambda row: "  \n6000000000",
    of.NO_NUMBER: lambda row: " I do not know",
    of.OTHER_LENGTH: lambda row: f" {row['answer'][:-1]}",
    of.OTHER_FORM: lambda row: f" ({row['answer'][:3]}) {row['answer'][3:6]}-{row['answer'][6:]}.",
    of.EXAMPLE: lambda row: book(row)[places(row, "example")[1]],
    of.NEIGHBOUR: lambda row: book(row)[places(row, "neighbour")[0]],
    of.EARLIER: lambda row: book(row)[places(row, "earlier")[0]],
    of.LATER: lambda row: f"It is {book(row)[places(row, 'later')[-1]]}.",
    of.NEAR_MISS: lambda row: changed(row["answer"], 1, 9),
    of.NEAR_OTHER: lambda row: changed(book(row)[places(row, "later")[0]], 4),
    of.SPLICE: splice,
    of.BEGINS_RIGHT: lambda row: changed(row["answer"], 3, 5, 7, 8),
    of.OTHER: lambda row: changed(row["answer"], 1, 2, 5, 7),
}


def in_the_middle(count: int) -> list[Row]:
    """Documents that have every kind of other entry."""
    rows = (row for row in phone_book.rows(20, num_docs=200))
    kinds = ("example", "neighbour", "earlier", "later")
    return [row for row in rows if all(places(row, kind) for kind in kinds)][:count]


ROWS = in_the_middle(20)


def test_every_class_has_a_script() -> None:
    assert tuple(SCRIPTS) == ERRORS.names


@pytest.mark.parametrize("name", SCRIPTS)
def test_each_error_is_recognised(name: str) -> None:
    assert Counter(classify(row, SCRIPTS[name](row)) for row in ROWS) == {name: len(ROWS)}


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        ("{0} or {1}", of.OTHER_FORM),
        ("Number: {0}", of.OTHER_FORM),
        ("{0} {0}", of.OTHER_FORM),
        ("1{0}", of.OTHER_LENGTH),
        ("१२३", of.NO_NUMBER),
        ("\n{0}", of.NO_ANSWER),
    ],
)
def test_forms_of_answers(answer: str, name: str) -> None:
    row = ROWS[0]
    assert classify(row, answer.format(row["answer"], book(row)[places(row, "later")[0]])) == name


@pytest.mark.parametrize("cut", range(1, 10))
def test_parts_of_a_splice_have_at_least_three_digits(cut: int) -> None:
    found = classify(ROWS[0], splice(ROWS[0], cut))
    assert found == of.SPLICE if 3 <= cut <= 7 else found in (of.NEAR_OTHER, of.NEAR_MISS)


@pytest.mark.parametrize(
    "row",
    [
        {}, {"prompt": 3}, {"prompt": "a\n\nb\n\nc:"},
        {"prompt": "a: 6000000000\nb: 7000000000\n\nb: 7000000000\n\nc:"},
        {"prompt": "a: 6000000000\nb: 7000000000\n\nc: 7000000000\n\nb:"},
    ],
)  # fmt: skip
def test_other_documents_are_refused(row: Row) -> None:
    with pytest.raises(InputError, match="is not a phone book"):
        classify(row, "6000000000")


def test_references_are_probabilities_of_all_but_the_right_answer() -> None:
    row = ROWS[0]
    number, entry = (reference(row) for reference in ERRORS.references.values())
    assert sum(number.values()) == pytest.approx(1)
    assert sum(entry.values()) == pytest.approx(1)
    assert entry[of.EXAMPLE] == 2 / 19
    assert number[of.EXAMPLE] == 2 / 4e9
    # one of the other nine digits, or the first (one of 3); two of the nine, or the first and one of them
    assert number[of.NEAR_MISS] == pytest.approx((9 * 9 + 3 + 36 * 81 + 3 * 9 * 9) / 4e9)


def test_one_in_400_random_numbers_begins_right() -> None:
    random, row = np.random.default_rng(0), ROWS[0]
    found = Counter(classify(row, f"{first}{random.integers(10**7):07}") for first in range(600, 1000))
    assert found == {of.BEGINS_RIGHT: 1, of.OTHER: 399}
    assert ERRORS.references["random number"](row)[of.BEGINS_RIGHT] == 1 / 400


# ---- the report


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A model that makes each error once, and one five times; four answers are right, two truncated."""
    texts = [SCRIPTS[name](row) for name, row in zip(SCRIPTS, ROWS, strict=False)]
    texts += [f" {row['answer']}\n" for row in ROWS[13:17]] + [SCRIPTS[of.SPLICE](row) for row in ROWS[17:]]
    file = result_file(tmp_path, {"phone_book_20": 0.2}, model="clumsy", documents=20)
    log_answers(file, "phone_book_20", ROWS, texts)
    return tmp_path


def test_the_report_counts_errors(run: Path) -> None:
    scores = read_scores([run])
    (errors,) = count_errors(logged(scores))
    assert errors.classes == {TRUNCATED: 0, **dict.fromkeys(ERRORS.names, 1), of.SPLICE: 4}
    assert (errors.right, errors.documents) == (4, 20)
    assert errors.references["random other entry"][of.EXAMPLE] == pytest.approx(2 / 19)
    text = error_table([errors], "entries")
    lines = [line for line in text.splitlines() if line.startswith("| clumsy")]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert [row[1] for row in rows] == [*ERRORS.names, "documents"]
    assert rows[10][:3] == ["clumsy", of.SPLICE, "4"] and rows[-1][2] == "20"
    expected = {row[1]: row[3:] for row in rows}
    assert expected[of.EXAMPLE] == ["5e-10", "0.11"], "2 of 4e9 numbers, and 2 of 19 other entries"
    assert expected[of.NO_ANSWER] == expected["documents"] == ["", ""]
    files = draw_errors("phone_book", [errors], "entries", run)
    assert [file.name for file in files] == ["phone_book_errors.png", "phone_book_errors.svg"]
    drawing = files[1].read_text()
    assert all(f"<!-- {name} -->" in drawing for name in ("right", *ERRORS.names, "length (entries)"))
    assert f"<!-- {TRUNCATED} -->" not in drawing


def test_a_row_has_the_classes_and_lengths_that_occur_in_it() -> None:
    one = Errors("a", 20, 9, {of.SPLICE: 2, of.OTHER: 0}, {"guess": {of.SPLICE: 0.2}})
    text = error_table(
        [one, replace(one, length=40, classes={of.SPLICE: 0, of.OTHER: 3}, references={"guess": {}}),
         replace(one, label="b", length=40)], "entries"
    )  # fmt: skip
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:1] + lines[2:]] == [
        ["model", "wrong answer", "20 entries", "40 entries", "guess"],
        ["a", of.SPLICE, "2", "0", "0.1"],
        ["a", of.OTHER, "0", "3", ""],
        ["a", "documents", "9", "9", ""],
        ["b", of.SPLICE, "", "2", "0.2"],
        ["b", "documents", "", "9", ""],
    ]


def test_truncated_documents_are_a_class_and_forced_answers_are_not_classified(tmp_path: Path) -> None:
    file = result_file(tmp_path, {"phone_book_20": 0.0, "phone_book_20_forced": 0.0}, documents=2)
    samples = log_answers(file, "phone_book_20", ROWS[:2], ["", "6"])
    samples.write_text(
        samples.read_text().replace('"exact_match": 0.0', '"truncated": 1.0, "exact_match": 0.0')
    )
    log_answers(file, "phone_book_20_forced", ROWS[:2], ["", ""])
    scores = {score.benchmark: score for score in read_scores([tmp_path])}
    (errors,) = count_errors(logged([scores["phone_book"]]))
    assert {name: count for name, count in errors.classes.items() if count} == {TRUNCATED: 2}
    assert count_errors(logged([scores["phone_book_forced"]])) == []
    log_answers(file, "phone_book_20", ROWS[:2], ["6", "<think>The book has"])
    (errors,) = count_errors(logged([scores["phone_book"]]))
    assert errors.classes[of.NO_ANSWER] == 1
    samples.write_text("")
    with pytest.raises(InputError, match="it has 0 of 2 documents"):
        logged([scores["phone_book"]])


def test_samples_without_scores_are_refused(run: Path) -> None:
    (samples,) = run.glob("samples_*")
    samples.write_text(samples.read_text().replace('"exact_match"', '"other"'))
    with pytest.raises(InputError, match=r"the samples of phone_book_20 lack exact_match"):
        count_errors(logged(read_scores([run])))
