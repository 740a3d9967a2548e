"""95% confidence intervals of scores, and their names."""

from typing import Literal

from scipy import stats

from lm_eval_tasks.results.score import Score, is_proportion

CONFIDENCE = 0.95
NORMAL = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
"""Standard errors between a mean and the ends of its interval."""

BINARY_METRICS = frozenset({"exact_match", "em", "truncated", "unknown_tokens", "unanswered", "misaligned"})
"""Metrics that are 0 or 1 for each document, so that their mean is a proportion of documents."""

Scale = Literal["binary", "bounded", "real"]
"""What a metric's values for one document are: 0 or 1, between 0 and 1, or any number."""

_WIDEST = 1e9  # of the square of a quantile by a number of documents: an interval from 0 to 1


def scale_of(*metrics: str) -> Scale:
    """The narrowest scale that holds the values of all these metrics."""
    if BINARY_METRICS.issuperset(metrics):
        return "binary"
    return "bounded" if all(map(is_proportion, metrics)) else "real"


def interval(metric: str, mean: float, error: float | None, documents: int) -> tuple[float, float] | None:
    """The 95% confidence interval of a mean over documents.

    Wilson's interval for proportions, Student's for metrics of any range, and :func:`bounded_interval` for
    the others.

    Args:
        error: standard error of the mean; None if unknown.
        documents: number of documents, at least 1.

    Returns:
        its ends; None where there is nothing to make it from: no standard error, or equal values of a metric
        of any range.
    """
    scale = scale_of(metric)
    if scale == "binary":
        right = min(documents, round(mean * documents))
        return _wilson(right / documents, NORMAL**2 / documents)
    if scale == "bounded":
        return bounded_interval(mean, error, documents)
    return student_interval(mean, error, documents)


def bounded_interval(mean: float, error: float | None, documents: int) -> tuple[float, float] | None:
    """The interval of a mean of values between 0 and 1: Wilson's at the effective number of documents.

    That is the number of documents scored 0 or 1 whose proportion has this mean and this standard error. In
    place of the normal quantile stands Student's, since the error is estimated. Unlike Student's own
    interval, this one also holds for means near 0 and 1, where few documents tell little of the variance.
    Values without any variance are taken for the most variable ones of this mean, which are 0 and 1.

    Returns:
        its ends; None without a standard error, unless the mean is 0 or 1.
    """
    if mean in (0.0, 1.0) or error == 0:
        return _wilson(mean, NORMAL**2 / documents)
    if error is None or documents < 2:
        return None
    half = _student(documents) * error
    return _wilson(mean, half * half / (mean * (1 - mean)))


def student_interval(mean: float, error: float | None, documents: int) -> tuple[float, float] | None:
    """Student's interval of a mean of any values; None without a standard error above 0."""
    if not error or documents < 2:
        return None
    half = _student(documents) * error
    return mean - half, mean + half


def _student(documents: int) -> float:
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, documents - 1))


def _wilson(mean: float, width: float) -> tuple[float, float]:
    """Wilson's interval.

    Args:
        width: the square of the quantile divided by the number of documents.
    """
    width = min(width, _WIDEST)
    middle = (mean + width / 2) / (1 + width)
    half = (mean * (1 - mean) * width + width * width / 4) ** 0.5 / (1 + width)
    return max(0.0, middle - half), min(1.0, middle + half)


_METHODS: dict[Scale, str] = {
    "binary": "Wilson",
    "bounded": "Wilson, effective number of documents",
    "real": "Student",
}


def score_interval(score: Score, metric: str) -> tuple[float, float] | None:
    """The interval of one metric of a score; None if unknown."""
    mean, error = score.values[metric]
    return None if mean is None else interval(metric, mean, error, score.documents)


def method(metric: str) -> str:
    """The name of the interval of a metric."""
    return _METHODS[scale_of(metric)]


def mean_interval(
    means: list[float], intervals: list[tuple[float, float] | None]
) -> tuple[float, float] | None:
    """The interval of the mean of independent means, from the interval of each.

    The distances from the means to the ends of their intervals are added in quadrature, like standard errors
    ("MOVER", Zou and Donner 2008; for two proportions, this is Newcombe's hybrid score interval).
    """
    known = [ends for ends in intervals if ends is not None]
    if len(known) < len(means):
        return None
    mean = sum(means) / len(means)
    pairs = list(zip(means, known, strict=True))
    below = sum((m - low) ** 2 for m, (low, _) in pairs) ** 0.5 / len(means)
    above = sum((high - m) ** 2 for m, (_, high) in pairs) ** 0.5 / len(means)
    return mean - below, mean + above


def with_interval(mean: float | None, ends: tuple[float, float] | None) -> str:
    """A mean and its interval as every report writes them: ``0.750 [0.62, 0.85]``."""
    if mean is None:
        return "no score"
    return f"{mean:.3f}" if ends is None else f"{mean:.3f} [{ends[0]:.2f}, {ends[1]:.2f}]"
