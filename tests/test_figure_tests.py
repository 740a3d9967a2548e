"""The tests of a figure: which are refused, and which are told apart."""

from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from synthetic_training.figures.draw import draw
from synthetic_training.figures.figure_file import Test
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.reproduce import reproduce
from synthetic_training.figures.results import read_results, write_results
from synthetic_training.figures.stages import read_stages
from synthetic_training.figures.summary import by_test
from synthetic_training.figures.tables import report
from tests.figure_lines import a_line, a_test, rows_of
from tests.test_figure_results import a_figure as drawn_figure
from tests.tiny_figure import HARD, a_figure
from tests.tiny_run import SETTINGS

LOOKUP = {**SETTINGS, "task": "prefix_ngram", "n": 1, "min_length": 5, "eval_lengths": [5], "steps": 2}
LOOKUP |= {"warmup_steps": 1, "model_args": {}}


@pytest.mark.parametrize(
    "task",
    [
        {"task": "mqar", "vocabulary": 16, "pairs": 2, "context_length": 32, "batch_size": 4},
        {"task": "documents", "context_length": 256, "pool_rows": 8},
    ],
)
def test_runs_without_strings_cannot_be_tested_on_them(task: dict[str, Any], tmp_path: Path) -> None:
    """It would fail after training, or write a result that cannot be read again."""
    for test in ({}, {"task": "copy"}):
        file = a_figure(tmp_path / "f.yaml", settings=task, tests=[{"lengths": [5], **test}])
        sentence = (
            f"test 1: tests are of string tasks, and the run trains on {task['task']}; remove the tests"
        )
        with pytest.raises(InputError, match=sentence):
            reproduce(str(file), out=tmp_path / "out", dry_run=True)


@pytest.mark.parametrize("again", [{}, {"k": 2, "task": "prefix_ngram"}, {"num_examples": 10, "k": 2}])
def test_two_tests_with_the_same_name_are_refused(again: dict[str, Any], tmp_path: Path) -> None:
    first = {"lengths": [6, 7], "k": again.get("k")}
    file = a_figure(
        tmp_path / "f.yaml", settings=LOOKUP, tests=[first, {"lengths": [8]}, {"lengths": [7], **again}]
    )
    with pytest.raises(InputError, match="test 3 repeats another one at length 7; remove one"):
        reproduce(str(file), out=tmp_path / "out", dry_run=True)


def test_answers_of_several_lengths_are_tests_of_their_own(tmp_path: Path) -> None:
    tests = [{"lengths": [7], "num_examples": 30, "k": k} for k in (1, 2)]
    file = a_figure(tmp_path / "f.yaml", "length", settings=LOOKUP, runs={"T_hard_alibi": HARD}, tests=tests)
    reproduce(str(file), out=tmp_path / "out")
    (result,) = read_results(tmp_path / "out" / "f_small.jsonl")
    one, two = result["tests"]
    assert (one["k"], two["k"]) == (1, 2) and one["letter_accuracy"] != two["letter_accuracy"]
    names = ["prefix_ngram, n = 1, k = 1", "prefix_ngram, n = 1, k = 2"]
    assert list(by_test(result)) == names
    assert rows_of((tmp_path / "out" / "f_small.md").read_text())[0][-2:] == names
    (stage,) = read_stages([str(file)], "small")
    assert not Ledger([stage], tmp_path / "out").work()

    a_figure(
        file,
        "length",
        settings=LOOKUP,
        runs={"T_hard_alibi": HARD},
        tests=[tests[0], {**tests[1], "k": None}],
    )
    with pytest.raises(InputError, match="with other tests; pass another --out"):
        reproduce(str(file), out=tmp_path / "out", resume=True)
    # results of earlier versions have no k
    a_figure(file, "length", settings=LOOKUP, runs={"T_hard_alibi": HARD}, tests=[{**tests[0], "k": None}])
    write_results(tmp_path / "out" / "f_small.jsonl", [{**result, "tests": [_without_k(one)]}])
    (stage,) = read_stages([str(file)], "small")
    assert not Ledger([stage], tmp_path / "out").work()


def _without_k(score: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in score.items() if name != "k"}


def test_keys_are_counted_in_whole_strings_only() -> None:
    with pytest.raises(InputError, match="keys: true needs whole strings; remove k = 2"):
        Test(lengths=(5,), task="copy", k=2, keys=True)


def test_accuracies_of_several_tasks_are_not_averaged(tmp_path: Path) -> None:
    """Only repeated n-grams of several lengths are drawn by their length."""
    tests = [a_test(8, accuracy, task, n) for task, accuracy in (("prefix_ngram", 0.2), ("suffix_ngram", 0.8))
             for n in (2, 3)]  # fmt: skip
    lines = [a_line(tests=tests)]
    draw(drawn_figure("length"), lines, tmp_path, "lookups")
    drawn = (tmp_path / "lookups.svg").read_text()
    assert "prefix n-gram, n = 2" in drawn and "occurs twice" not in drawn
    assert rows_of(report(drawn_figure("length"), lines))[2][-4:] == ["0.200", "0.200", "0.800", "0.800"]
    repeated = [a_line(tests=[a_test(8, 0.2, "duplicate_ngram", n) for n in (2, 3)])]
    draw(drawn_figure("length"), repeated, tmp_path, "repeats")
    assert "occurs twice" in (tmp_path / "repeats.svg").read_text()
