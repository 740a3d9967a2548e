"""95% confidence intervals of means of values between 0 and 1, for all tables and plots."""

from scipy import stats

CONFIDENCE = 0.95
NORMAL = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
"""Number of standard errors between a mean and the ends of its interval."""

_WIDEST = 1e9  # maximum squared quantile per document, at which the interval is 0 to 1


def wilson_interval(mean: float, documents: int) -> tuple[float, float]:
    """Wilson's interval of a proportion.

    Args:
        mean: the proportion; rounded to a whole number of documents.
        documents: number of documents, at least 1.
    """
    return _wilson(round(mean * documents) / documents, NORMAL**2 / documents)


def bounded_interval(mean: float, error: float | None, documents: int) -> tuple[float, float] | None:
    """The interval of a mean of values between 0 and 1: Wilson's at the effective number of documents.

    The effective number is the number of documents scored 0 or 1 whose proportion has this mean and standard
    error. Student's quantile replaces the normal one, because the error is estimated. Unlike Student's
    interval, this interval is also reliable for means near 0 and 1, where a few documents give a poor
    estimate of the variance. Values with no variance are treated like values of 0 and 1, which have the
    largest variance at a given mean.

    Args:
        mean: the mean.
        error: standard error of the mean; None if unknown.
        documents: number of documents, at least 1.

    Returns:
        The ends of the interval; None without a standard error, unless the mean is 0 or 1.
    """
    if mean in (0.0, 1.0) or error == 0:
        return _wilson(mean, NORMAL**2 / documents)
    if error is None or documents < 2:
        return None
    half = student(documents) * error
    return _wilson(mean, half * half / (mean * (1 - mean)))


def student(documents: int) -> float:
    """The quantile of Student's distribution for a mean of at least 2 documents.

    It is the number of standard errors between the mean and each end of its interval.
    """
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, documents - 1))


def _wilson(mean: float, width: float) -> tuple[float, float]:
    """Wilson's interval.

    Args:
        mean: the proportion.
        width: the square of the quantile divided by the number of documents.
    """
    width = min(width, _WIDEST)
    middle = (mean + width / 2) / (1 + width)
    half = (mean * (1 - mean) * width + width * width / 4) ** 0.5 / (1 + width)
    return max(0.0, middle - half), min(1.0, middle + half)


def with_interval(mean: float, ends: tuple[float, float] | None, digits: int = 2) -> str:
    """A mean and its interval as text: ``0.750 [0.62, 0.85]``.

    Args:
        mean: the mean.
        ends: ends of the interval; None to omit it.
        digits: number of decimals of the ends.
    """
    return f"{mean:.3f}" if ends is None else f"{mean:.3f} [{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
