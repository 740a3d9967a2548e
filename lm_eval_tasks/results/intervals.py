"""95% confidence intervals of scores, and their names."""

from typing import Literal

from dataset_builders import intervals
from dataset_builders.intervals import bounded_interval, student, wilson_interval
from lm_eval_tasks.results.score import Score, is_proportion

BINARY_METRICS = frozenset({"exact_match", "em", "truncated", "unknown_tokens", "unanswered", "misaligned"})
"""Metrics that are 0 or 1 for each document, so that their mean is a proportion of documents."""

Scale = Literal["binary", "bounded", "real"]
"""The possible values of a metric for one document: 0 or 1, between 0 and 1, or any number."""


def scale_of(*metrics: str) -> Scale:
    """The narrowest scale that contains the values of all these metrics."""
    if BINARY_METRICS.issuperset(metrics):
        return "binary"
    return "bounded" if all(map(is_proportion, metrics)) else "real"


def interval(metric: str, mean: float, error: float | None, documents: int) -> tuple[float, float] | None:
    """The 95% confidence interval of a mean over documents.

    Wilson's interval for proportions, Student's for metrics of any range, and
    :func:`~dataset_builders.intervals.bounded_interval` for the others.

    Args:
        metric: name of the metric.
        mean: its mean over documents.
        error: standard error of the mean; None if unknown.
        documents: number of documents, at least 1.

    Returns:
        The ends of the interval; None without a standard error, or if all values of a metric of any range
        are equal.
    """
    scale = scale_of(metric)
    if scale == "binary":
        return wilson_interval(mean, documents)
    if scale == "bounded":
        return bounded_interval(mean, error, documents)
    return student_interval(mean, error, documents)


def student_interval(mean: float, error: float | None, documents: int) -> tuple[float, float] | None:
    """Student's interval of a mean of any values; None without a standard error above 0."""
    if not error or documents < 2:
        return None
    half = student(documents) * error
    return mean - half, mean + half


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
    return "no score" if mean is None else intervals.with_interval(mean, ends)
