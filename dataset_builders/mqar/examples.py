"""Examples of multi-query associative recall (MQAR), as in Zoology (arXiv 2312.04927).

An example of 16 tokens with 2 pairs, a vocabulary of 12 tokens, and no random tokens between the queries. The
second line shows the tokens to predict::

    tokens   2 8 4 7 0 0 4 0 0 0 0 0 2 0 0 0
    answers  - - - - - - 7 - - - - - 8 - - -

Keys are from the lower half of the vocabulary and values from the upper half; token 0 is neither. A query is
a key, and its answer, the key's value, is not part of the example.

Like the string tasks, the code is written against the array API standard: NumPy draws documents with it, and
PyTorch draws training batches with it on any device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataset_builders.checks import check_integer, check_positive
from dataset_builders.errors import InputError
from dataset_builders.string_tasks.task import MAX_LENGTH, MAX_VOCABULARY, Array, RandomIntegers, indices

BLANK = 0
"""The token that fills an example; it is neither a key nor a value."""

LEAST_TOKENS_PER_PAIR = 4
"""Smallest length of an example per pair: its two tokens, and two for its query, at an even distance."""

_WORD = 2**31
"""Bound of the random integers from which the gaps are computed."""


@dataclass(frozen=True)
class MqarExamples:
    """B examples of K pairs in L tokens.

    Attributes:
        tokens: (B, L) int64.
        queries: (B, K) int64, the position of each key's query, in the order of the pairs.
        answers: (B, K) int64, the value of each key, to be predicted at its query.
    """

    tokens: Array
    queries: Array
    answers: Array


@dataclass(frozen=True)
class Mqar:
    """Multi-query associative recall: pairs of a key and a value, then each key once more, as a query.

    The distribution is that of Zoology's ``multiquery_ar``. Keys and values of an example are all different.
    Queries are at even distances from the last pair. The distances are drawn without replacement, one pair
    after another; the i-th shortest has a probability proportional to ``i ** (power_a - 1)``.

    Attributes:
        length: number of tokens of an example, at least 4 per pair.
        pairs: number of pairs, and of queries.
        vocabulary: number of different tokens; the lower half are keys, the upper half values.
        power_a: exponent of the power law of the distances; 1 is uniform.
        random_non_queries: whether to fill the gaps between queries with random tokens, instead of token 0.

    Raises:
        InputError: a value is out of range, or there are too few tokens for the pairs.
    """

    length: int
    pairs: int
    vocabulary: int = 8192
    power_a: float = 0.01
    random_non_queries: bool = True

    def __post_init__(self) -> None:
        check_integer("pairs", self.pairs, 1, MAX_LENGTH)
        check_integer("length", self.length, 1, 4 * MAX_LENGTH)
        check_integer("vocabulary", self.vocabulary, 1, MAX_VOCABULARY)
        least = LEAST_TOKENS_PER_PAIR * self.pairs
        if self.length < least:
            raise InputError(
                f"{self.pairs} pairs and their queries need a length of at least {least} tokens, "
                f"not {self.length}"
            )
        if self.vocabulary // 2 - 1 < self.pairs:
            raise InputError(
                f"{self.pairs} pairs need a vocabulary of at least {2 * self.pairs + 2} tokens, not "
                f"{self.vocabulary}"
            )
        check_positive("power_a", self.power_a)
        if not isinstance(self.random_non_queries, bool):
            raise InputError(f"random_non_queries must be true or false, not {self.random_non_queries!r}")

    @property
    def query_positions(self) -> int:
        """Number of possible positions of a query."""
        return self.length // 2 - self.pairs

    def draw(self, random: RandomIntegers) -> MqarExamples:
        """Draw one example for each B of ``random``."""
        xp, pairs, half = random.xp, self.pairs, self.vocabulary // 2
        words = random.integers(_WORD, (self.query_positions,))
        order = self._order(xp, words)
        # numbers of keys and of values that remain when each pair is drawn
        left = half - 1 + (self.vocabulary - 2 * half + 1) * indices(xp, 2, words)[:, None]
        left = left - indices(xp, pairs, words)
        both = _without_replacement(xp, random.integers(left, (2, pairs)))
        keys, values = both[:, 0, :] + 1, both[:, 1, :] + half
        queries = 2 * (pairs + order[:, :pairs])
        # the pair that each possible position queries
        pair = xp.argsort(order, axis=1)
        queried = xp.take_along_axis(keys, xp.where(pair < pairs, pair, 0), axis=1)
        queried = xp.where(pair < pairs, queried, BLANK)
        parts = [_interleaved(xp, keys, values), _interleaved(xp, queried, xp.zeros_like(queried) + BLANK)]
        if self.length % 2:
            parts.append(xp.zeros_like(queried[:, :1]) + BLANK)
        tokens = xp.concat(parts, axis=1)
        if self.random_non_queries:
            others = random.integers(self.vocabulary, (self.length,))
            tokens = xp.where(tokens == BLANK, others, tokens)
        return MqarExamples(tokens, queries, values)

    def _order(self, xp: Any, words: Array) -> Array:
        """Indices of query positions in the order in which they are drawn, (B, query_positions) int64.

        Drawing positions one after another without replacement is equivalent to a race, in which each
        arrives after an exponential time whose rate is its weight.
        """
        number = xp.astype(indices(xp, self.query_positions, words) + 1, xp.float64)
        uniform = (xp.astype(words, xp.float64) + 0.5) / _WORD
        time = -xp.log(uniform) * number ** (1 - self.power_a)
        return xp.argsort(time, axis=1)


def _without_replacement(xp: Any, ranks: Array) -> Array:
    """Distinct numbers, (..., K): each is the rank-th smallest of the numbers not drawn before it.

    Args:
        xp: the array namespace.
        ranks: (..., K) int64, uniform on 0 to count - 1, count - 2, ...; then all results are equally likely.
    """
    index = indices(xp, ranks.shape[-1], ranks)
    for i in reversed(range(ranks.shape[-1] - 1)):
        ranks = ranks + xp.astype((index > i) & (ranks >= ranks[..., i : i + 1]), xp.int64)
    return ranks


def _interleaved(xp: Any, first: Array, second: Array) -> Array:
    """The columns of two arrays (B, K), alternating, (B, 2 K)."""
    return xp.reshape(xp.stack([first, second], axis=2), (first.shape[0], -1))
