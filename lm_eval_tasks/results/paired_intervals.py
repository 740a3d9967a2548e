"""95% confidence intervals of the mean difference of two scores on the same documents."""

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from dataset_builders.intervals import NORMAL, bounded_interval
from lm_eval_tasks.results.intervals import Scale, student_interval

Values = NDArray[np.float64]


def paired_interval(difference: Values, scale: Scale) -> tuple[float, float] | None:
    """The 95% confidence interval of a mean difference.

    The method depends on the scale of the scores. For scores of 0 or 1, it is :func:`tango_interval`. For
    scores between 0 and 1, it is :func:`~dataset_builders.intervals.bounded_interval`, scaled to the range of
    their differences, -1 to 1. For other scores, it is Student's interval.

    Args:
        difference: the difference of the two scores of each document, at least one.
        scale: scale of the scores that were subtracted.

    Returns:
        The ends of the interval; None if scores of any range have a single document or equal differences.
    """
    documents, mean = len(difference), float(difference.mean())
    if scale != "real" and np.isin(difference, (-1, 0, 1)).all():
        return tango_interval(int((difference > 0).sum()), int((difference < 0).sum()), documents)
    error = None
    if documents > 1:
        spread = np.ptp(difference)  # the computed standard deviation of equal numbers may differ from 0
        error = float(difference.std(ddof=1)) / documents**0.5 if spread else 0.0
    if scale == "real":
        return student_interval(mean, error, documents)
    ends = bounded_interval((1 + mean) / 2, None if error is None else error / 2, documents)
    return None if ends is None else (2 * ends[0] - 1, 2 * ends[1] - 1)


def tango_interval(first_better: int, second_better: int, documents: int) -> tuple[float, float]:
    """Tango's score interval of the difference of two proportions of the same documents.

    The interval contains the differences that a score test at the 5% level does not reject (Tango 1998,
    Statistics in Medicine 17). If the two agree on all n documents, it is ±z²/(n + z²).

    Args:
        first_better: number of documents on which only the first is right.
        second_better: number of documents on which only the second is right.
        documents: number of all documents, at least 1.
    """
    return (
        _lower(first_better, second_better, documents),
        -_lower(second_better, first_better, documents),
    )


def _lower(b: int, c: int, n: int) -> float:
    """The lower end, where the first is better on b of n documents, and the second on c."""
    if c == n:
        return -1.0

    def excess(difference: float) -> float:
        """The numerator of the squared score statistic, minus the largest value that the test accepts."""
        # q: the most likely fraction of documents on which the second is better, given this difference
        linear = (2 * n - b + c) * difference - b - c
        constant = -c * difference * (1 - difference)
        q = (max(0.0, linear**2 - 8 * n * constant) ** 0.5 - linear) / (4 * n)
        variance = n * (2 * q + difference * (1 - difference))
        return float((b - c - n * difference) ** 2 - NORMAL**2 * variance)

    near = 1e-9  # without differing documents, excess is 0 at the estimate itself
    return float(optimize.brentq(excess, -1.0, (b - c) / n - near))
