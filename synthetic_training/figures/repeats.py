"""How much of a model's errors on long strings repeated n-grams explain.

    python -m synthetic_training.figures.repeats length_generalization_paper.jsonl duplicates_paper.jsonl \\
      --model T_hard_alibi

A model that copies by looking up n-grams makes errors if an n-gram occurs twice (arXiv 2402.01032, section
3.3, and the construction of Theorem 2.3). The figure ``duplicates`` measures how often this happens, by the
length n of the repeat. By chance, a uniform string of length L over D letters has about C(L - n + 1, 2) D^-n
(1 - 1/D)^2 pairs of positions that share n letters, but not n + 1. If each pair misleads the model as often
as the pair in ``duplicates``, independently of the others, the string is copied correctly with probability
exp(-sum over n of pairs times error rate).

The last column of the first table is the lowest accuracy that repeats alone could cause. Its rates are the
upper ends of their 95% intervals. Repeats that every string has by chance, such as those of one letter, are
treated differently, because adding one more of them shows little: we assume that they cause all errors in
plain strings, also at the upper end, and that these errors grow with the number of pairs of positions.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import tyro

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.intervals import wilson_interval
from dataset_builders.markdown import markdown_table
from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import results_of
from synthetic_training.figures.summary import check_alike

SHORTEST_REPEATS = (4, 3, 2)
"""Minimum lengths of the repeats that are counted; each is a column of the table."""


def expected_repeats(length: int, n: int, letters: int) -> float:
    """Expected number of pairs of positions in a uniform string that share n letters, but not n + 1."""
    return math.comb(max(0, length - n + 1), 2) * letters**-n * (1 - 1 / letters) ** 2


def errors_at_repeats(results: Sequence[Result]) -> dict[int, tuple[float, float]]:
    """Error rate caused by a repeated n-gram and its upper limit, by n, over all seeds.

    The rate is relative to strings without the repeat. The upper limit is the end of the 95% interval of the
    difference (Newcombe, 1998, method 10). Values between measured values of n are interpolated.

    Raises:
        InputError: the results have no such tests, or none without a repeat.
    """
    tests = [test for result in results for test in result["tests"]]
    repeated: dict[int, list[Mapping[str, Any]]] = {}
    for test in tests:
        if test["task"] == "duplicate_ngram":
            repeated.setdefault(test["n"], []).append(test)
    copied = [t for t in tests if t["task"] == "copy"]
    if not repeated or not any(t["string_accuracy"] for t in copied):
        raise InputError("these results lack strings with a repeated n-gram, or correct ones without it")
    plain, (_, plain_most) = _accuracy(copied)
    found = {}
    for n, own in sorted(repeated.items()):
        accuracy, (least, _) = _accuracy(own)
        worse = plain - accuracy
        most = worse + math.hypot(accuracy - least, plain_most - plain)
        found[n] = (max(0.0, worse / plain), max(0.0, most / plain))
    for low, high in pairwise([*found]):
        for n in range(low + 1, high):
            share = (n - low) / (high - low)
            (a, a_most), (b, b_most) = found[low], found[high]
            found[n] = (a + (b - a) * share, a_most + (b_most - a_most) * share)
    return dict(sorted(found.items()))


def _accuracy(tests: Sequence[Mapping[str, Any]]) -> tuple[float, tuple[float, float]]:
    """Mean accuracy in these tests, and its 95% interval.

    All seeds are tested on the same strings, so the interval is for the strings of one seed: more seeds do
    not add strings.
    """
    accuracy = mean(test["string_accuracy"] for test in tests)
    return accuracy, wilson_interval(accuracy, max(test["num_examples"] for test in tests))


def accuracy_with_repeats(length: int, errors: Mapping[int, float], letters: int, least: int) -> float:
    """Probability that no repeat of ``least`` letters or more causes an error in a string of this length."""
    return math.exp(-sum(expected_repeats(length, n, letters) * e for n, e in errors.items() if n >= least))


def least_accuracy(length: int, duplicates: Sequence[Result], letters: int) -> float:
    """The lowest accuracy that repeats alone could cause; the module's docstring describes the assumptions.

    Args:
        length: length of the strings in letters.
        duplicates: results of the figure ``duplicates``, of one model.
        letters: size of the alphabet.
    """
    copied = [test for result in duplicates for test in result["tests"] if test["task"] == "copy"]
    tested = max(test["length"] for test in copied)
    _, (least, _) = _accuracy(copied)
    upper = {n: most for n, (_, most) in errors_at_repeats(duplicates).items()}
    rare = next(n for n in range(1, tested + 1) if expected_repeats(tested, n, letters) < 1)
    pairs, pairs_tested = (expected_repeats(size, rare - 1, letters) for size in (length, tested))
    return float(least ** (pairs / pairs_tested)) * accuracy_with_repeats(length, upper, letters, rare)


def table(lengths: Sequence[Result], duplicates: Sequence[Result], model: str) -> str:
    """Table of the measured accuracy by length and the accuracy predicted from repeats alone, as Markdown.

    Raises:
        InputError: a file has no results of this model, or its results are of several panels or swept values.
    """
    mine = [[result for result in results if result["label"] == model] for results in (lengths, duplicates)]
    for results, given in zip(mine, (lengths, duplicates), strict=True):
        if not results:
            known = ", ".join(sorted({result["label"] for result in given})) or "no model"
            raise InputError(f"there are no results of {model!r}; there are results of {known}")
        check_alike(model, results)
    errors = errors_at_repeats(mine[1])
    rates = {n: rate for n, (rate, _) in errors.items()}
    letters = mine[0][0]["config"]["vocabulary"]
    found: dict[int, list[float]] = {}
    for test in (test for result in mine[0] for test in result["tests"] if test["task"] == "copy"):
        found.setdefault(test["length"], []).append(test["string_accuracy"])
    if not found:
        raise InputError(f"the first file contains no accuracy of {model} by length")
    rows = [
        [
            length,
            f"{mean(values):.3f}",
            *(f"{accuracy_with_repeats(length, rates, letters, least):.3f}" for least in SHORTEST_REPEATS),
            f"{least_accuracy(length, mine[1], letters):.3f}",
        ]
        for length, values in sorted(found.items())
    ]
    headers = [
        "length",
        "found",
        *(f"repeats of {least} letters and more" for least in SHORTEST_REPEATS),
        "all repeats, at the upper limits",
    ]
    longest = max(found)
    counts = {n: expected_repeats(longest, n, letters) for n in errors}
    of_repeats = [
        [n, f"{counts[n]:,.0f}" if counts[n] >= 100 else f"{counts[n]:.3g}", f"{rate:.4f}", f"{most:.4f}"]
        for n, (rate, most) in errors.items()
    ]
    of_headers = [
        "letters of a repeat",
        f"repeats in a string of {longest} letters",
        "fraction of strings that one makes wrong",
        "upper limit",
    ]
    return f"{markdown_table(headers, rows)}\n\n{markdown_table(of_headers, of_repeats)}"


def _print_repeats(
    lengths: Annotated[Path, tyro.conf.Positional],
    duplicates: Annotated[Path, tyro.conf.Positional],
    model: str = "T_hard_alibi",
) -> None:
    """Print how much of a model's errors repeated n-grams explain.

    Args:
        lengths: Results of length_generalization.
        duplicates: Results of duplicates.
        model: Label of a model in both files.
    """
    print(table(results_of([lengths]), results_of([duplicates]), model))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table of a model."""
    with command_errors():
        cli(_print_repeats, prog="python -m synthetic_training.figures.repeats", args=arguments)


if __name__ == "__main__":
    main()
