"""Effective lengths: known curves, data without a curve, and intervals that cover the truth."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, special, stats

from lm_eval_tasks.results import effective_length as module
from lm_eval_tasks.results.capacity import capacity_table
from lm_eval_tasks.results.effective_length import between_tested_lengths, effective_length
from lm_eval_tasks.results.rows import read_scores
from tests.memories import Memory, logistic
from tests.result_files import result_file

LENGTHS = (20, 40, 60, 80, 100, 120)


def found(right: Sequence[int], documents: int = 32, lengths: Sequence[int] = LENGTHS) -> str:
    return str(effective_length(lengths, right, [documents] * len(lengths)))


def optimised(right: np.ndarray, documents: int, lengths: Sequence[int]) -> tuple[float, float]:
    """The half point of the most likely curve, and the p-value of its deviance."""
    x, n = np.log(lengths), np.full(len(right), documents)

    def loss(p: np.ndarray) -> float:
        return -float(special.xlogy(right, p).sum() + special.xlogy(n - right, 1 - p).sum())

    found = optimize.minimize(lambda c: loss(special.expit(c[0] + c[1] * (x - 4))), [0.0, -1.0], tol=1e-12)
    a, b = found.x
    return math.exp(4 - a / b), stats.chi2.sf(2 * (found.fun - loss(right / n)), len(right) - 2)


@pytest.mark.parametrize(
    ("right", "p", "left_out"),
    [
        ([31, 28, 17, 9, 4, 1], 0.776, 0),
        ([31, 24, 24, 5, 6, 1], 0.0116, 0),
        # in logarithms, 20 is farther from the half point than 120
        ([28, 30, 17, 9, 4, 1], 0.0070, 1),
    ],
)
def test_the_curve_is_that_of_a_general_optimiser_if_it_fits(
    right: list[int], p: float, left_out: int
) -> None:
    assert optimised(np.array(right), 32, LENGTHS)[1] == pytest.approx(p, rel=0.01)
    estimate = effective_length(LENGTHS, right, [32] * 6).estimate
    half, _ = optimised(np.array(right[left_out:]), 32, LENGTHS[left_out:])
    assert estimate == pytest.approx(half, rel=1e-4)


@pytest.mark.parametrize(
    ("right", "documents", "text"),
    [
        # more than 2.5% of the resamples have no right answer at 40, and so no curve: half is below 40
        ((30, 1), (40, 12), "25 [0, 40]"),
        ((11, 10), (12, 40), "32 [20, ∞]"),
    ],
)
def test_resamples_without_a_curve_bound_one_end(
    right: tuple[int, int], documents: tuple[int, int], text: str
) -> None:
    assert str(effective_length((20, 40), right, documents)) == text


def test_documents_may_differ_between_lengths() -> None:
    one = effective_length((20, 40, 80), (90, 16, 10), (100, 32, 100))
    assert one.estimate is not None and one.interval is not None
    assert one.interval[0] < one.estimate < one.interval[1]


@pytest.mark.parametrize(
    ("right", "text"),
    [
        ([32, 32, 32, 32, 32, 32], "at least 120"),
        ([0, 0, 0, 0, 0, 0], "below 20"),
        ([32, 32, 0, 0, 0, 0], "40 to 60"),
        ([32, 32, 16, 0, 0, 0], "40 to 80"),
        ([32, 31, 32, 32, 32, 30], "at least 120"),
        ([0, 1, 0, 0, 1, 0], "below 20"),
        ([16, 16, 16, 16, 16, 16], "unknown"),
        ([2, 2, 4, 8, 20, 30], "unknown"),
        ([32, 32, 32, 8, 24, 8], "60 to 120"),
    ],
)
def test_data_without_a_curve(right: list[int], text: str) -> None:
    """All right, all wrong, separated, one mixed length, outside the lengths, flat, rising, no curve."""
    assert found(right) == text


def test_one_length_and_few_documents() -> None:
    assert found([4], 4, [20]) == "unknown"
    assert found([16], 16, [20]) == "at least 20"
    assert found([16, 0], 16, [20, 40]) == "20 to 40"


def test_the_same_data_give_the_same_interval() -> None:
    data = (LENGTHS, [31, 28, 17, 9, 4, 1], [32] * 6)
    assert effective_length(*data) == effective_length(*data)


# ---- coverage


def share_covered(half: float, slope: float, documents: int, trials: int) -> float:
    random, p = np.random.default_rng(0), logistic(LENGTHS, half, slope)
    covered, curves = 0, 0
    for _ in range(trials):
        one = effective_length(LENGTHS, random.binomial(documents, p).tolist(), [documents] * len(LENGTHS))
        if one.interval is not None:
            curves += 1
            covered += one.interval[0] <= half <= one.interval[1]
    assert curves > trials / 2
    return covered / curves


def test_intervals_of_curves_cover_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 200)
    assert 0.88 <= share_covered(55, 3, documents=100, trials=100) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("documents", [16, 100, 500])
@pytest.mark.parametrize(("half", "slope"), [(55, 2), (55, 6), (100, 4)])
def test_intervals_of_curves_cover_the_truth_at_about_their_rate(
    half: float, slope: float, documents: int
) -> None:
    assert share_covered(half, slope, documents, trials=500) >= 0.92


@pytest.mark.parametrize("documents", [16, 200])
@pytest.mark.parametrize("kept", [15, 30, 50, 70])
def test_tested_lengths_cover_the_truth_of_any_falling_curve(kept: int, documents: int) -> None:
    """A memory of K entries answers half of the queries on books of 2 K; its curve is not logistic."""
    memory, random, missed = Memory(kept, recent=True), np.random.default_rng(1), 0
    p = [memory.accuracy(length) for length in LENGTHS]
    for _ in range(100):
        low, high = between_tested_lengths(LENGTHS, random.binomial(documents, p).tolist(), [documents] * 6)
        missed += not low <= 2 * kept <= high
    assert missed <= 5


# ---- the report


def test_a_report_has_both_ways(tmp_path: Path) -> None:
    tasks = {"phone_book_20": 0.97, "phone_book_60": 0.53, "phone_book_120": 0.03}
    result_file(tmp_path, tasks, documents=32)
    row = capacity_table(read_scores([tmp_path])).splitlines()[2]
    cells = [cell.strip() for cell in row.split("|")]
    assert cells[1:4] == ["model", found([31, 17, 1], 32, [20, 60, 120]), "20 to 120"]
