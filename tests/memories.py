"""Simulated memories of known capacity, evaluated on phone books and strings like models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dataset_builders.benchmark import RandomAnswers
from lm_eval_tasks.results.recalled_bits import BY_SYMBOL, WHOLE, Observed, recalled_bits

NUMBER = (4, *[10] * 9)


@dataclass(frozen=True)
class Memory:
    """Remembers the last or the first ``kept`` entries of a book, and guesses the others."""

    kept: int
    recent: bool

    def accuracy(self, entries: int) -> float:
        return min(1.0, self.kept / entries)

    def bits(self, entries: int) -> float:
        return min(self.kept, entries) * float(np.log2(NUMBER).sum())

    def observed(self, entries: int, documents: int, random: np.random.Generator) -> list[Observed]:
        """The scores of a run on phone books; the query is any entry except the two examples."""
        order = random.permuted(np.tile(np.arange(entries), (documents, 1)), axis=1)
        query = order[:, 2]
        known = query >= entries - self.kept if self.recent else query < self.kept
        guess = random.random((documents, len(NUMBER))) < 1 / np.array(NUMBER)
        return _as_observed(RandomAnswers(entries - 2, NUMBER), known[:, None] | guess)


@dataclass(frozen=True)
class NoisyMemory:
    """Reads each symbol through a symmetric channel: it is right with some probability, else uniformly wrong.

    Its information is known, and equals the bound at the true accuracy.
    """

    right: float
    sizes: tuple[int, ...]

    def bits(self) -> float:
        return recalled_bits(RandomAnswers(1, self.sizes), BY_SYMBOL, self.right)

    def observed(self, documents: int, random: np.random.Generator) -> list[Observed]:
        right = random.random((documents, len(self.sizes))) < self.right
        return _as_observed(RandomAnswers(1, self.sizes), right)


def _as_observed(answers: RandomAnswers, right: NDArray[np.bool_]) -> list[Observed]:
    whole, by_symbol = right.all(axis=1).mean(), right.mean()
    return [
        Observed(answers, WHOLE, float(whole), len(right)),
        Observed(answers, BY_SYMBOL, float(by_symbol), len(right)),
    ]


def logistic(lengths: Sequence[int], half: float, slope: float) -> NDArray[np.float64]:
    """Accuracies that are logistic in the logarithm of the length."""
    return np.asarray(1 / (1 + (np.array(lengths) / half) ** slope))
