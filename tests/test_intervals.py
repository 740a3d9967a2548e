"""95% confidence intervals of means and paired differences: known answers, and coverage."""

import re

import numpy as np
import pytest
from scipy import optimize, special, stats

from dataset_builders.intervals import wilson_interval
from lm_eval_tasks.results.intervals import interval, mean_interval
from lm_eval_tasks.results.paired_intervals import paired_interval, tango_interval
from tests.import_graph import ROOT

Z = stats.norm.ppf(0.975)


# ---- means


def test_the_intervals_in_the_questions_are_wilsons() -> None:
    text = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+)(?:, the default)? \| (\[.*\]) \|$", text, re.MULTILINE)
    assert [int(documents) for documents, _ in rows] == [16, 32, 100, 500]
    for documents, cells in rows:
        found = [wilson_interval(score, int(documents)) for score in (0, 0.5, 0.9)]
        assert cells == " | ".join(f"[{low:.2f}, {high:.2f}]" for low, high in found)


def test_wilsons_interval_is_scipys() -> None:
    for right, documents in ((0, 16), (3, 16), (16, 16), (250, 500), (1, 1)):
        known = stats.binomtest(right, documents).proportion_ci(0.95, method="wilson")
        found = interval("exact_match", right / documents, None, documents)
        assert found == pytest.approx((known.low, known.high), abs=1e-12)


def test_means_of_any_range_have_students_interval() -> None:
    values = np.array([-3.0, -1.5, -4.0, -2.5])
    known = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = interval("logprob_per_token", values.mean(), stats.sem(values), 4)
    assert found == pytest.approx((known.low, known.high))
    assert interval("nats_gained", 0.25, 0.0, 4) is None, "equal values tell nothing of the variance"
    assert interval("nats_gained", 0.25, None, 1) is None


def test_means_of_fractions_have_wilsons_interval_at_the_effective_number() -> None:
    t = stats.t.ppf(0.975, 15)
    # a mean of 0.5 with an error of 0.1 is that of 25 documents scored 0 or 1
    half = t / (1 + t * t / 25) * np.sqrt(0.25 / 25 + t * t / (4 * 25**2))
    assert interval("char_accuracy", 0.5, 0.1, 16) == pytest.approx((0.5 - half, 0.5 + half))
    assert interval("char_accuracy", 0.5, None, 16) is None and interval("char_accuracy", 0.5, 0.1, 1) is None
    assert interval("char_accuracy", 1.0, 0.0, 16) == interval("exact_match", 1.0, 0.0, 16), (
        "no false comfort"
    )
    assert interval("char_accuracy", 0.5, 0.0, 16) == interval("exact_match", 0.5, 0.0, 16)


@pytest.mark.parametrize("mean", [5e-324, 1e-9, 0.5, 1 - 2**-53])
@pytest.mark.parametrize("error", [5e-324, 1e-200, 0.3, 1e200])
def test_errors_of_any_size_give_an_interval_around_the_mean(mean: float, error: float) -> None:
    """Result files may contain any numbers."""
    ends = interval("char_accuracy", mean, error, 2)
    assert ends is not None and 0 <= ends[0] <= mean <= ends[1] <= 1


def share_of_fractions_covered(sure: float, documents: int, trials: int) -> float:
    """The coverage of the interval if a fraction ``sure`` of the documents is right, and others in part."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(trials):
        values = np.where(random.random(documents) < sure, 1.0, random.random(documents))
        ends = interval("char_accuracy", values.mean(), stats.sem(values), documents)
        assert ends is not None
        covered += ends[0] <= (1 + sure) / 2 <= ends[1]
    return covered / trials


def test_intervals_of_few_fractions_cover_the_mean() -> None:
    # the normal approximation covers 84% of the first, Student's interval 89% of the second
    assert share_of_fractions_covered(0.0, 4, trials=300) > 0.92
    assert share_of_fractions_covered(0.7, 8, trials=300) > 0.90


@pytest.mark.slow
@pytest.mark.parametrize("documents", [4, 8, 16, 32, 100])
@pytest.mark.parametrize("sure", [0.0, 0.5, 0.7, 0.9])
def test_intervals_of_fractions_cover_the_mean_at_about_their_rate(sure: float, documents: int) -> None:
    assert share_of_fractions_covered(sure, documents, trials=5000) > 0.90


def test_the_interval_of_a_mean_over_lengths() -> None:
    known = mean_interval([0.5, 0.7], [(0.4, 0.6), (0.6, 0.8)])
    assert known == pytest.approx((0.6 - 0.1 / np.sqrt(2), 0.6 + 0.1 / np.sqrt(2)))
    assert mean_interval([0.5, 0.7], [(0.4, 0.6), None]) is None
    rng = np.random.default_rng(0)
    truth, covered = [0.9, 0.3], 0
    for counts in rng.binomial(50, truth, size=(400, 2)):
        means = [float(count) / 50 for count in counts]
        ends = mean_interval(means, [interval("exact_match", mean, None, 50) for mean in means])
        assert ends is not None
        covered += ends[0] <= sum(truth) / 2 <= ends[1]
    assert 0.92 < covered / 400 < 0.985


# ---- paired differences


@pytest.mark.parametrize(
    ("first_better", "second_better", "documents", "known"),
    [
        # Fagerland, Lydersen and Laake 2014, Statistics in Medicine 33: airway hyper-responsiveness
        (1, 7, 21, (-0.517, -0.026)),
        # without a difference the equation is d² = z² |d| (1 - |d|) / n
        (0, 0, 8, (-0.3244, 0.3244)),
        (4, 0, 4, (4 - Z**2) / (4 + Z**2)),
    ],
)
def test_tangos_interval_of_known_tables(
    first_better: int, second_better: int, documents: int, known: tuple[float, float] | float
) -> None:
    low, high = tango_interval(first_better, second_better, documents)
    expected = known if isinstance(known, tuple) else (known, 1.0)
    assert (low, high) == pytest.approx(expected, abs=5e-4)
    swapped = tango_interval(second_better, first_better, documents)
    assert swapped == pytest.approx((-high, -low))


@pytest.mark.parametrize("table", [(1, 0, 12), (7, 1, 16), (3, 3, 9), (40, 20, 160), (0, 5, 6)])
def test_the_score_test_rejects_just_beyond_tangos_interval(table: tuple[int, int, int]) -> None:
    """Here, a general optimiser maximises the likelihood."""
    better, worse, documents = table

    def statistic(difference: float) -> float:
        def loss(q: float) -> float:
            same = 1 - 2 * q - difference
            cells = [(better, q + difference), (worse, q), (documents - better - worse, same)]
            return -sum(special.xlogy(count, max(p, 1e-300)) for count, p in cells)

        bounds = (max(0.0, -difference), (1 - difference) / 2)
        q = optimize.minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x
        variance = documents * (2 * q + difference - difference**2)
        return float(abs(better - worse - documents * difference) / np.sqrt(variance))

    for end in tango_interval(*table):
        if abs(end) < 1:
            assert statistic(end) == pytest.approx(Z, abs=1e-3)


def coverage(first_alone: float, second_alone: float, documents: int) -> float:
    """The exact probability, over all tables, that the interval covers the difference."""
    p = (first_alone, second_alone, max(0.0, 1 - first_alone - second_alone))
    covered = 0.0
    for b in range(documents + 1):
        for c in range(documents + 1 - b):
            low, high = tango_interval(b, c, documents)
            if low - 1e-9 <= first_alone - second_alone <= high + 1e-9:
                covered += stats.multinomial.pmf((b, c, documents - b - c), documents, p)
    return covered


@pytest.mark.parametrize("documents", [8, 16])
@pytest.mark.parametrize(("first_alone", "second_alone"), [(0.05, 0.02), (0.10, 0.03), (0.4, 0.3)])
def test_intervals_of_few_pairs_cover_the_difference(
    first_alone: float, second_alone: float, documents: int
) -> None:
    """A bootstrap over 8 documents has a coverage of 31% and 55% in the first two cases."""
    assert coverage(first_alone, second_alone, documents) > 0.94


@pytest.mark.slow
@pytest.mark.parametrize("documents", [4, 8, 16, 32])
def test_intervals_of_pairs_cover_any_difference(documents: int) -> None:
    found = [coverage(b / 10, c / 10, documents) for b in range(11) for c in range(11 - b)]
    assert min(found) > 0.85 and np.mean(found) > 0.945


def test_intervals_of_differences_of_fractions() -> None:
    values = np.array([0.5, 0.2, 0.4, 0.1, 0.0])
    ends = paired_interval(values, "bounded")
    student = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert ends == pytest.approx((student.low, student.high), abs=0.05)
    assert paired_interval(values, "real") == pytest.approx((student.low, student.high))
    # without any variance: none for any numbers, and a wide one between -1 and 1
    assert paired_interval(np.full(4, 0.3), "real") is None
    ends = paired_interval(np.full(4, 0.3), "bounded")
    assert ends is not None and -0.6 < ends[0] < 0 and 0.8 < ends[1] < 1
    assert paired_interval(np.zeros(4), "bounded") == tango_interval(0, 0, 4)
    assert paired_interval(np.array([0.3]), "bounded") is None


def share_of_differences_covered(documents: int, trials: int) -> float:
    """The coverage of the mean difference between two models that usually copy everything."""
    random, covered = np.random.default_rng(0), 0
    for _ in range(trials):
        parts = np.where(random.random((2, documents)) < [[0.8], [0.5]], 1.0, random.random((2, documents)))
        ends = paired_interval(parts[0] - parts[1], "bounded")
        assert ends is not None
        covered += ends[0] <= 0.15 <= ends[1]
    return covered / trials


def test_intervals_of_few_differences_of_fractions_cover_the_mean() -> None:
    assert share_of_differences_covered(8, trials=300) > 0.92


@pytest.mark.slow
@pytest.mark.parametrize("documents", [4, 8, 16, 32, 100])
def test_intervals_of_differences_of_fractions_cover_at_about_their_rate(documents: int) -> None:
    assert share_of_differences_covered(documents, trials=5000) > 0.93
