"""Looking up an n-gram in a string."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from dataset_builders.checks import check_integer
from dataset_builders.errors import InputError
from dataset_builders.string_tasks.registry import register_string_task
from dataset_builders.string_tasks.task import (
    MAX_LENGTH,
    Array,
    Examples,
    Part,
    RandomIntegers,
    StringTask,
    indices,
    piece,
)

_LEAST_BEYOND = 3
"""Minimum number of letters after the key, or after the answer's k letters, as in the released sampler."""

_MOST_COMPARED = 512
"""Up to this many n-grams per string are compared in pairs on a GPU, because PyTorch's compiler takes two
minutes for a sort of 98 there. It leaves sorts of more than 512 uncompiled."""


@dataclass(frozen=True)
class _NgramLookup(StringTask):
    """The base class of both tasks: draws a string, a key, and the answer that follows it in the string.

    Deviation from the code released with the paper: the key occurs once in its string, so that no query has
    two answers. That code only checks that some n-gram occurs once, and may use another n-gram as the key.

    Attributes:
        n: length of the key in letters. The default is the smallest n at which few n-grams occur twice by
            chance in a string of 100 letters.
        k: length of the answer in letters (None: everything after the key). At least three letters follow
            the key, or at least k + 3.
    """

    version: ClassVar[str] = "2.0"

    n: int = 3
    k: int | None = None

    def check(self) -> None:
        check_integer("n", self.n, 1, MAX_LENGTH)
        if self.k is not None:
            check_integer("k", self.k, 1, MAX_LENGTH)
        check_ngrams(self.name, self.vocabulary, self.n)

    @property
    def shortest(self) -> int:
        return self.n + self._after_key

    @property
    def rare(self) -> str:
        return (
            f"contain an n-gram of n = {self.n} that occurs once and is followed by at least "
            f"{self._after_key} letters; use a larger n, a larger vocabulary or shorter strings"
        )

    @property
    def _after_key(self) -> int:
        return (self.k or 0) + _LEAST_BEYOND

    def _draw(self, random: RandomIntegers, lengths: Array) -> tuple[Part, Part, Part, Array]:
        """The string, its key, the answer, and whether there is a key."""
        xp, string = random.xp, self.random_string(random, lengths)
        codes = self._codes(xp, string)
        positions = indices(xp, codes.shape[1], codes)
        begins = positions <= (lengths - self.n - self._after_key)[:, None]
        compared = getattr(codes, "is_cuda", False) and codes.shape[1] <= _MOST_COMPARED
        ranked = ranked_by_comparison if compared else ranked_by_sorting
        order, possible, rank = ranked(xp, codes, begins)
        counts = xp.sum(xp.astype(possible, xp.int64), axis=1)
        chosen = random.integers(xp.where(counts > 0, counts, 1))
        here = xp.argmax(xp.astype(possible & (rank == chosen[:, None]), xp.int64), axis=1)
        at = xp.take_along_axis(order, here[:, None], axis=1)[:, 0]
        key = Part(piece(xp, string.letters, at, self.n), xp.full_like(lengths, self.n))
        rest = lengths - at - self.n
        width = self.max_length - self.n if self.k is None else self.k
        answer_lengths = rest if self.k is None else xp.full_like(lengths, self.k)
        answer = Part(piece(xp, string.letters, at + self.n, width), answer_lengths, scored=True)
        return string, key, answer, counts > 0

    def _codes(self, xp: Any, string: Part) -> Array:
        """A number that identifies each n-gram; -1 if the n-gram would extend beyond the string's end."""
        width = self.max_length - self.n + 1
        codes = string.letters[:, :width]
        for offset in range(1, self.n):
            codes = codes * self.vocabulary + string.letters[:, offset : offset + width]
        positions = indices(xp, width, codes)
        return xp.where(positions <= (string.lengths - self.n)[:, None], codes, -1)


def ranked_by_sorting(xp: Any, codes: Array, begins: Array) -> tuple[Array, Array, Array]:
    """The n-grams of each string in some order, which of them can be the key, and their ranks.

    Args:
        xp: array API namespace.
        codes: (B, W) int64, the code of the n-gram at each position.
        begins: (B, W) bools, whether a key may begin at each position.

    Returns:
        The positions of the n-grams, (B, W) int64; whether each can be the key, because it occurs once, (B,
        W) bools; and for those that can, the number of such n-grams with smaller codes, (B, W) int64.
    """
    # the order of equal n-grams does not matter: none of them can be the key
    order = xp.argsort(codes, axis=1)
    ordered = xp.take_along_axis(codes, order, axis=1)
    as_before = ordered[:, 1:] == ordered[:, :-1]
    edge = xp.zeros_like(ordered[:, :1]) > 0
    once = ~(xp.concat([edge, as_before], axis=1) | xp.concat([as_before, edge], axis=1))
    possible = once & xp.take_along_axis(begins, order, axis=1)
    return order, possible, xp.cumulative_sum(xp.astype(possible, xp.int64), axis=1) - 1


def ranked_by_comparison(xp: Any, codes: Array, begins: Array) -> tuple[Array, Array, Array]:
    """The same as ``ranked_by_sorting``, but ordered by position, from all pairs of n-grams."""
    one, other = codes[:, :, None], codes[:, None, :]
    possible = begins & (xp.sum(xp.astype(one == other, xp.int64), axis=2) == 1)
    rank = xp.sum(xp.astype((other < one) & possible[:, None, :], xp.int64), axis=2)
    return xp.broadcast_to(indices(xp, codes.shape[1], codes), codes.shape), possible, rank


@register_string_task
@dataclass(frozen=True)
class PrefixNgram(_NgramLookup):
    """Given an n-gram, then a string in which it occurs once, write what follows it in the string.

    ``$we|qwertyuiop|rtyuiop.``, where ``we`` is the key and ``rtyuiop`` the answer.
    """

    name: ClassVar[str] = "prefix_ngram"

    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        string, key, answer, valid = self._draw(random, lengths)
        return Examples((key, "|", string, "|", answer), key, valid)


@register_string_task
@dataclass(frozen=True)
class SuffixNgram(_NgramLookup):
    """Given a string, then an n-gram that occurs in it once, write what follows it in the string.

    ``$qwertyuiop|wertyuiop.``, where ``we`` is the key and ``rtyuiop`` the answer.
    """

    name: ClassVar[str] = "suffix_ngram"

    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        string, key, answer, valid = self._draw(random, lengths)
        return Examples((string, "|", key, answer), key, valid)


def check_ngrams(name: str, vocabulary: int, n: int) -> None:
    """Raise ``InputError`` if all n-grams are equal, or if there are too many to number in 64 bits."""
    if vocabulary == 1:
        raise InputError(f"{name} needs a vocabulary of at least 2: with one letter, all n-grams are equal")
    if vocabulary**n >= 2**63:
        raise InputError(f"n is too large: with {vocabulary} letters, n-grams of {n} do not fit in 64 bits")
