"""Lower bounds on the bits that a model recalls, from its accuracy on random answers.

``lm_eval_tasks/CAPACITY.md`` derives the formulas.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special, stats

from dataset_builders.benchmark import RandomAnswers
from dataset_builders.intervals import CONFIDENCE

WHOLE, BY_SYMBOL = "exact_match", "char_accuracy"
"""The metrics that yield a bound: the whole answer is correct, and the fraction of correct symbols."""


@dataclass(frozen=True)
class Observed:
    """One metric at one length.

    Attributes:
        answers: the random content of a document of this length.
        metric: ``WHOLE`` or ``BY_SYMBOL``.
        mean: mean of the metric over documents, from 0 to 1.
        documents: number of documents, at least 1.
    """

    answers: RandomAnswers
    metric: str
    mean: float
    documents: int


def recalled_bits(answers: RandomAnswers, metric: str, accuracy: float) -> float:
    """Lower bound on the bits about a document's answers in a state, given the expected accuracy.

    For ``WHOLE``, it is Fano's inequality, N (log2 M - h(p) - (1 - p) log2(M - 1)) with M possible answers;
    for ``BY_SYMBOL``, it is the counterpart for the fraction of correct symbols. Both are 0 up to the
    accuracy of a guess, and increase from there.

    Args:
        answers: the random content of a document.
        metric: ``WHOLE`` or ``BY_SYMBOL``.
        accuracy: expected value of the metric, from 0 to 1.
    """
    if metric == WHOLE:
        bits = _fano(accuracy, math.fsum(map(math.log, answers.symbols)))
    else:
        bits = _by_symbol(accuracy, answers.symbols)
    return answers.questions * bits


def lower_bounds(observed: Sequence[Observed]) -> list[float]:
    """Lower confidence bounds of the recalled bits, all valid at once with 95% confidence.

    Each bound is one-sided at the level of 0.05 divided by their number (Bonferroni), so their maximum is
    also a bound with 95% confidence.
    """
    tail = (1 - CONFIDENCE) / max(1, len(observed))
    return [
        recalled_bits(one.answers, one.metric, lower_accuracy(one.metric, one.mean, one.documents, tail))
        for one in observed
    ]


def lower_accuracy(metric: str, mean: float, documents: int, tail: float) -> float:
    """A lower bound of a metric's expected value that is too high with a probability of at most ``tail``.

    For ``WHOLE``, it is Clopper and Pearson's bound. For ``BY_SYMBOL``, whose values are fractions with an
    unknown distribution, it follows from Chernoff's inequality, which holds for all variables in [0, 1].
    """
    if metric == WHOLE:
        right = round(mean * documents)
        return float(
            stats.binomtest(right, documents, alternative="greater").proportion_ci(1 - tail, "exact").low
        )
    allowed = -math.log(tail) / documents
    if mean <= 0:
        return 0.0
    if mean >= 1:
        return math.exp(-allowed)

    def excess(expectation: float) -> float:
        divergence = special.rel_entr(mean, expectation) + special.rel_entr(1 - mean, 1 - expectation)
        return float(divergence) - allowed

    least = min(1e-12, mean / 2)
    return float(optimize.brentq(excess, least, mean)) if excess(least) > 0 else 0.0


def _fano(p: float, log_size: float) -> float:
    """log2 M - h(p) - (1 - p) log2(M - 1), 0 up to p = 1 / M; from ln M, since M may exceed any float."""
    if p <= math.exp(-log_size):
        return 0.0
    nats = p * log_size - (1 - p) * math.log1p(-math.exp(-log_size))
    return (nats - float(special.entr(p) + special.entr(1 - p))) / math.log(2)


def _by_symbol(fraction: float, sizes: Sequence[int]) -> float:
    """The maximum over t >= 0 of t K r - sum ln(1 + (e^t - 1) / M_k), in bits.

    Args:
        fraction: r, the expected fraction of correct symbols.
        sizes: M_k, the number of values of each of the K symbols.
    """
    size, count = np.unique(np.array(sizes, dtype=np.float64), return_counts=True)
    right = fraction * len(sizes)
    if right <= (count / size).sum():
        return 0.0
    if fraction >= 1:
        return float((count * np.log2(size)).sum())

    def excess(t: float) -> float:
        # the expected number of correct symbols of a guess whose distribution is tilted by t
        return float((count * special.expit(t - np.log(size - 1 + 1e-300))).sum()) - right

    most = math.log(size[-1] - 1) + float(special.logit(fraction))
    t = float(optimize.brentq(excess, 0, most + 1e-9))
    return (t * right - float((count * np.log1p(np.expm1(t) / size)).sum())) / math.log(2)
