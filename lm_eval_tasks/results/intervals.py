"""95% confidence intervals of scores, and their names."""

from scipy import stats

from lm_eval_tasks.results.score import Score, is_proportion

CONFIDENCE = 0.95

BINARY_METRICS = frozenset({"exact_match", "em", "truncated", "unknown_tokens", "unanswered", "misaligned"})
"""Metrics that are 0 or 1 for each document, so that their mean is a proportion of documents."""


def interval(metric: str, mean: float, error: float | None, documents: int) -> tuple[float, float] | None:
    """The 95% confidence interval of a mean over documents.

    For proportions, this is Wilson's interval. For other metrics, it is the normal approximation, clipped to
    0 and 1 if the metric is between 0 and 1. If all documents have the score 0, or all have the score 1, the
    normal approximation would have no width, so Wilson's interval is used: no distribution between 0 and 1
    varies more.

    Args:
        error: standard error of the mean; None if unknown.
        documents: number of documents, at least 1.

    Returns:
        the ends of the interval; None if it needs a standard error and there is none.
    """
    bounded = is_proportion(metric)
    if bounded and (metric in BINARY_METRICS or mean in (0.0, 1.0)):
        right = min(documents, round(mean * documents))
        found = stats.binomtest(right, documents).proportion_ci(CONFIDENCE, method="wilson")
        return float(found.low), float(found.high)
    if error is None:
        return None
    if error == 0:
        return mean, mean
    low, high = (float(end) for end in stats.norm.interval(CONFIDENCE, mean, error))
    return (max(0.0, low), min(1.0, high)) if bounded else (low, high)


def score_interval(score: Score, metric: str) -> tuple[float, float] | None:
    """The interval of one metric of a score; None if unknown."""
    mean, error = score.values[metric]
    return None if mean is None else interval(metric, mean, error, score.documents)


def method(metric: str) -> str:
    """The name of the interval of a metric."""
    return "Wilson" if metric in BINARY_METRICS else "normal approximation"


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
