"""The length at which a model's accuracy falls through one half, with a 95% interval.

``lm_eval_tasks/CAPACITY.md`` derives the formulas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from dataset_builders.intervals import CONFIDENCE

RESAMPLES = 2000

_TAIL = (1 - CONFIDENCE) / 2
_MISFIT = 0.01
"""Significance level of the test that rejects the fit of a logistic curve."""

_Counts = NDArray[np.int64]
_Values = NDArray[np.float64]


@dataclass(frozen=True)
class EffectiveLength:
    """The length at which accuracy falls through one half, as far as the tested lengths determine it.

    An end of an interval is 0 or infinite if the tested lengths do not bound it.

    Attributes:
        estimate: the estimate from the fitted curve; None if no curve can be fitted, or if the estimate is
            not between the lengths of the fit.
        interval: the ends of its 95% interval; None without an estimate.
        between: the tested lengths between which accuracy falls through one half, with 95% confidence.
    """

    estimate: float | None
    interval: tuple[float, float] | None
    between: tuple[float, float]

    def __str__(self) -> str:
        """The estimate with its interval, as in ``52 [47, 58]``, or otherwise ``between`` in words."""
        if self.estimate is None or self.interval is None:
            return self.between_text
        low, high = self.interval
        return f"{self.estimate:.0f} [{low:.0f}, {'∞' if math.isinf(high) else f'{high:.0f}'}]"

    @property
    def between_text(self) -> str:
        """``40 to 60``, ``at least 120``, ``below 20`` or ``unknown``."""
        low, high = self.between
        if low > 0:
            return f"at least {low:.0f}" if math.isinf(high) else f"{low:.0f} to {high:.0f}"
        return "unknown" if math.isinf(high) else f"below {high:.0f}"


def effective_length(
    lengths: Sequence[int], right: Sequence[int], documents: Sequence[int]
) -> EffectiveLength:
    """The effective length from the number of correct answers at each length.

    The estimate comes from a binomial logistic fit in the logarithm of the length, and its interval from a
    percentile bootstrap over documents with a fixed seed. As long as the curve does not fit (deviance test at
    1%), the length that is farthest from the half point is left out. There is no estimate if fewer than two
    lengths have both correct and wrong answers, so that the slope is unknown, or if the half point is not
    between the lengths of the fit.

    Args:
        lengths: different lengths, ascending.
        right: number of correct answers at each length.
        documents: number of documents at each length, at least 1.
    """
    n, k, x = np.array(documents), np.array(right), np.log(np.array(lengths, dtype=np.float64))
    between = between_tested_lengths(lengths, right, documents)
    while not _undetermined(k, n):
        intercept, slope = _fit(x, k[None], n)
        half = float(_half(intercept, slope)[0])
        if slope[0] >= 0 or not x[0] <= half <= x[-1]:
            break
        if _fits(x, k, n, intercept, slope):
            return EffectiveLength(math.exp(half), _bootstrap(x, k, n), between)
        near = slice(None, -1) if x[-1] - half > half - x[0] else slice(1, None)
        x, k, n = x[near], k[near], n[near]
    return EffectiveLength(None, None, between)


def between_tested_lengths(
    lengths: Sequence[int], right: Sequence[int], documents: Sequence[int]
) -> tuple[float, float]:
    """An exact 95% interval that assumes only that accuracy does not rise with the length.

    Starting from the shortest, each length is tested for an accuracy above one half (one-sided binomial test
    at 2.5%); the last length before the first failure is the lower end. The upper end is found in the same
    way from the longest length down. Since each sequence of tests stops at its first failure, no correction
    for the number of lengths is needed.
    """
    low, high = 0.0, math.inf
    cells = list(zip(lengths, right, documents, strict=True))
    for length, k, n in cells:
        if stats.binomtest(k, n, alternative="greater").pvalue > _TAIL:
            break
        low = float(length)
    for length, k, n in reversed(cells):
        if stats.binomtest(k, n, alternative="less").pvalue > _TAIL:
            break
        high = float(length)
    return low, high


def _undetermined(right: _Counts, documents: _Counts) -> NDArray[np.bool_]:
    """Whether the slope is unknown, because fewer than two lengths have correct and wrong answers."""
    return np.asarray(((right > 0) & (right < documents)).sum(axis=-1) < 2)


def _fit(x: _Values, right: _Counts, documents: _Counts) -> tuple[_Values, _Values]:
    """Maximum-likelihood logistic curves by Newton's method, for R data sets at once.

    Args:
        x: (m,) logarithms of lengths.
        right: (R, m) numbers of correct answers.
        documents: (m,) numbers of documents.

    Returns:
        Intercepts and slopes, each (R,).
    """
    centre, scale = x.mean(), x.std()
    z = (x - centre) / scale
    a, b = np.zeros(len(right)), np.zeros(len(right))
    for _ in range(50):
        p = special.expit(a[:, None] + b[:, None] * z)
        residual, weight = right - documents * p, documents * p * (1 - p)
        g0, g1 = residual.sum(-1), (residual * z).sum(-1)
        h00, h01, h11 = weight.sum(-1) + 1e-9, (weight * z).sum(-1), (weight * z * z).sum(-1) + 1e-9
        determinant = h00 * h11 - h01 * h01
        step = np.stack([h11 * g0 - h01 * g1, h00 * g1 - h01 * g0]) / determinant
        step /= np.maximum(1, np.abs(step).max(axis=0) / 2)  # no step overshoots far from the maximum
        a, b = a + step[0], b + step[1]
        if np.abs(step).max() < 1e-10:
            break
    return a - b * centre / scale, b / scale


def _half(intercept: _Values, slope: _Values) -> _Values:
    """Logarithm of the length at which the curve is one half; infinite if it does not fall."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(slope < 0, -intercept / slope, np.where(intercept > 0, np.inf, -np.inf))


def _fits(x: _Values, right: _Counts, documents: _Counts, intercept: _Values, slope: _Values) -> bool:
    """Whether chance can explain the curve's deviance from the data."""
    freedom = len(x) - 2
    if freedom == 0:
        return True
    p = special.expit(intercept + slope * x)
    deviance = (
        2
        * (
            special.rel_entr(right, documents * p) + special.rel_entr(documents - right, documents * (1 - p))
        ).sum()
    )
    return bool(stats.chi2.sf(deviance, freedom) > _MISFIT)


def _bootstrap(x: _Values, right: _Counts, documents: _Counts) -> tuple[float, float]:
    """The interval of the half point; resampling a length's documents resamples its correct answers."""
    drawn = np.random.default_rng(0).binomial(documents, right / documents, (RESAMPLES, len(x)))
    without_curve = _undetermined(drawn, documents)
    low, high = np.zeros(RESAMPLES), np.zeros(RESAMPLES)
    low[~without_curve] = high[~without_curve] = _half(*_fit(x, drawn[~without_curve], documents))
    for i in np.flatnonzero(without_curve):
        low[i], high[i] = _around(x, drawn[i], documents)
    first, last = np.quantile(low, _TAIL, method="lower"), np.quantile(high, 1 - _TAIL, method="higher")
    return (
        math.exp(first) if first >= x[0] else 0.0,
        math.exp(last) if last <= x[-1] else math.inf,
    )


def _around(x: _Values, right: _Counts, documents: _Counts) -> tuple[float, float]:
    """Where accuracy falls through one half in a resample without a curve: the ends of a range of ``x``.

    These are the greatest length with only correct answers and the smallest length without any.
    """
    above, below = np.flatnonzero(right == documents), np.flatnonzero(right == 0)
    return (
        float(x[above[-1]]) if len(above) else -np.inf,
        float(x[below[0]]) if len(below) else np.inf,
    )
