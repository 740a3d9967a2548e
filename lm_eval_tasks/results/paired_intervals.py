"""95% confidence intervals of the mean difference of two scores on the same documents."""

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from dataset_builders.intervals import NORMAL, bounded_interval
from lm_eval_tasks.results.intervals import Scale, student_interval

Values = NDArray[np.float64]


def paired_interval(difference: Values, scale: Scale) -> tuple[float, float] | None:
    """The 95% confidence interval of a mean difference.

    Differences that are all -1, 0 or 1, as those of two proportions are, have :func:`tango_interval`. Other
    differences of values between 0 and 1 have :func:`~lm_eval_tasks.results.intervals.bounded_interval` on
    their own range, from -1 to 1, and differences of values of any range have Student's.

    Args:
        difference: one for each document, at least one.
        scale: of the values that were subtracted.

    Returns:
        its ends; None where there is nothing to make it from: a single document, or equal differences of
        values of any range.
    """
    documents, mean = len(difference), float(difference.mean())
    if scale != "real" and np.isin(difference, (-1, 0, 1)).all():
        return tango_interval(int((difference > 0).sum()), int((difference < 0).sum()), documents)
    error = None
    if documents > 1:
        spread = np.ptp(difference)  # exact, unlike the deviation of equal numbers
        error = float(difference.std(ddof=1)) / documents**0.5 if spread else 0.0
    if scale == "real":
        return student_interval(mean, error, documents)
    ends = bounded_interval((1 + mean) / 2, None if error is None else error / 2, documents)
    return None if ends is None else (2 * ends[0] - 1, 2 * ends[1] - 1)


def tango_interval(first_better: int, second_better: int, documents: int) -> tuple[float, float]:
    """Tango's score interval of the difference of two proportions of the same documents.

    It holds the differences that a score test at 5% does not reject (Tango 1998, Statistics in Medicine 17).
    Without any document on which the two differ it is from -z²/(n + z²) to z²/(n + z²).

    Args:
        first_better, second_better: numbers of documents that one has right and the other has wrong.
        documents: number of all documents, at least 1.
    """
    return (
        _lower(first_better, second_better, documents),
        -_lower(second_better, first_better, documents),
    )


def _lower(b: int, c: int, n: int) -> float:
    """The lower end for b and c of n documents on which the first and the second is better."""
    if c == n:
        return -1.0

    def excess(difference: float) -> float:
        """The squared score statistic's numerator, minus what the test allows."""
        # q: the likeliest share of documents on which the second is better, if this is the difference
        linear = (2 * n - b + c) * difference - b - c
        constant = -c * difference * (1 - difference)
        q = (max(0.0, linear**2 - 8 * n * constant) ** 0.5 - linear) / (4 * n)
        variance = n * (2 * q + difference * (1 - difference))
        return float((b - c - n * difference) ** 2 - NORMAL**2 * variance)

    near = 1e-9  # at the estimate itself, excess is 0 where no document differs
    return float(optimize.brentq(excess, -1.0, (b - c) / n - near))
