"""Strings of random letters to copy, and to look n-grams up in (arXiv 2402.01032, section 3).

One example of each task, as the models of this project read it; the answer stands after the bar::

    copy              $qwerty|  qwerty.
    prefix_ngram      $we|qwerty|  rty.        the key ``we`` stands once; what follows it is asked
    suffix_ngram      $qwerty|we  rty.         the same, with the key after the string
    duplicate_ngram   $qwertyqw|  qwertyqw.    copy, where one n-gram was written over another

Unlike in the code released with the paper, the key stands once in its string, so that no query has two
answers, and as many letters follow it as are asked.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.random import BitGenerator
from numpy.typing import NDArray

from dataset_builders.checks import check_integer
from dataset_builders.errors import InputError

Ints = NDArray[np.int64]

LOOKUPS = ("prefix_ngram", "suffix_ngram")

TASKS = ("copy", *LOOKUPS, "duplicate_ngram")

MAX_LENGTH = 10_000
"""Far above the paper's 1,000; a block of documents of this length still fits in memory."""

PAD = -1
"""What stands in ``Sample.letters`` beyond a string's end."""

_LEAST_RATE = 1 / 1000
"""Sizes are refused of which fewer strings than this have a key that stands once."""


@dataclass(frozen=True)
class Definition:
    """One task at one range of lengths.

    Attributes:
        name: one of ``TASKS``.
        min_length: fewest letters of a string; lengths are uniform.
        max_length: most letters of a string, at most ``MAX_LENGTH``.
        vocabulary: number of letters a, b, ..., at most 26.
        n: letters of a key; ``copy`` has none. The default is the least n at which
            few n-grams of a string of 100 letters stand twice by chance.
        k: letters of the answer; None for all there are.

    Raises:
        InputError: a value out of range, or no such string exists.
    """

    name: str
    min_length: int
    max_length: int
    vocabulary: int = 26
    n: int = 3
    k: int | None = None

    def __post_init__(self) -> None:
        if self.name not in TASKS:
            raise InputError(f"the task must be one of {', '.join(TASKS)}, not {self.name!r}")
        check_integer("min_length", self.min_length, 1, MAX_LENGTH)
        check_integer("max_length", self.max_length, self.min_length, MAX_LENGTH)
        check_integer("vocabulary", self.vocabulary, 1, 26)
        check_integer("n", self.n, 1, MAX_LENGTH)
        if self.k is not None:
            check_integer("k", self.k, 1, MAX_LENGTH)
        self._check_key()
        if self.min_length < self._shortest:
            sizes = f"k = {self.k}" if self.name == "copy" else f"n = {self.n} and k = {self.k}"
            raise InputError(
                f"{self.name} with {sizes} needs strings of at least {self._shortest} letters, "
                f"not {self.min_length}"
            )

    def _check_key(self) -> None:
        if self.name == "copy":
            return
        if self.vocabulary == 1:
            raise InputError(f"{self.name} needs a vocabulary of at least 2: with one, all n-grams are equal")
        if self.vocabulary**self.n >= 2**63:
            raise InputError(
                f"n is too large: with {self.vocabulary} letters, n-grams of {self.n} do not fit in 64 bits"
            )
        if self.name == "duplicate_ngram" and self.k is not None:
            raise InputError(f"duplicate_ngram asks for the whole string: k must be None, not {self.k}")

    @property
    def _shortest(self) -> int:
        """Letters of the shortest string there is; one of ``b`` and then ``a`` alone shows that it does."""
        if self.name == "duplicate_ngram":
            return 2 * self.n
        return (self.k or 1) + (self.n if self.name in LOOKUPS else 0)


@dataclass(frozen=True)
class Sample:
    """A batch of B examples; places are indices into a string, from 0.

    Attributes:
        letters: (B, max_length), 0 .. vocabulary - 1, and ``PAD`` beyond the string's end.
        lengths: (B,), letters of each string.
        key_at: (B,), where the key begins; -1 in ``copy``.
        again_at: (B,), where ``duplicate_ngram`` wrote the key a second time; -1 in other tasks.
        answer_at: (B,), where the answer begins.
        answer_end: (B,), the place after the answer's last letter.
    """

    letters: Ints
    lengths: Ints
    key_at: Ints
    again_at: Ints
    answer_at: Ints
    answer_end: Ints


def sample(definition: Definition, count: int, bits: BitGenerator) -> Sample:
    """Draw ``count`` examples; the same bits give the same ones in every version of NumPy.

    Lengths are uniform. Given its length, a string is uniform among those with a place for the key, and
    the place is uniform among the string's places: strings without one are drawn again, whole.

    Raises:
        InputError: strings with a place for the key are too rare to be found.
    """
    lengths = definition.min_length + uniform(
        bits, definition.max_length - definition.min_length + 1, (count,)
    )
    letters = np.full((count, definition.max_length), PAD, dtype=np.int64)
    key_at, again_at = np.full((2, count), -1, dtype=np.int64)
    pending, drawn = np.arange(count), 0
    while pending.size:
        accepted = count - pending.size
        if drawn >= 10 / _LEAST_RATE and accepted < drawn * _LEAST_RATE:
            raise _too_rare(definition, accepted, drawn)
        drawn += pending.size
        fresh = uniform(bits, definition.vocabulary, (pending.size, definition.max_length))
        fresh[np.arange(definition.max_length) >= lengths[pending, None]] = PAD
        ok, key, again = _PLACE[definition.name](definition, bits, fresh, lengths[pending])
        done = pending[ok]
        letters[done], key_at[done], again_at[done] = fresh[ok], key[ok], again[ok]
        pending = pending[~ok]
    answer_at = key_at + definition.n if definition.name in LOOKUPS else np.zeros_like(lengths)
    answer_end = lengths if definition.k is None else answer_at + definition.k
    return Sample(letters, lengths, key_at, again_at, answer_at, answer_end)


def uniform(bits: BitGenerator, bounds: int | Ints, shape: tuple[int, ...]) -> Ints:
    """Integers of 0 .. ``bounds`` - 1, of ``shape``, from one raw output each.

    NumPy promises to keep the raw bits of a generator, but not what its methods make of them. Here the
    upper 32 bits are multiplied by the bound and shifted: each probability is within 2^-32 of uniform.
    """
    upper = bits.random_raw(shape) >> np.uint64(32)
    return ((upper * np.asarray(bounds, dtype=np.uint64)) >> np.uint64(32)).astype(np.int64)


def _too_rare(definition: Definition, accepted: int, drawn: int) -> InputError:
    return InputError(
        f"{definition.name}: of {drawn} strings of {definition.min_length} to {definition.max_length} "
        f"letters, {accepted} hold an n-gram of n = {definition.n} that stands once and the answer after "
        "it; take a larger n, a larger vocabulary or shorter strings"
    )


# Each gives, for a batch of strings: where it succeeded, the key's place, and its second place.
_Places = tuple[NDArray[np.bool_], Ints, Ints]


def _no_key(_definition: Definition, _bits: BitGenerator, _letters: Ints, lengths: Ints) -> _Places:
    none = np.full_like(lengths, -1)
    return np.ones(lengths.shape, dtype=np.bool_), none, none


def _key_that_stands_once(
    definition: Definition, bits: BitGenerator, letters: Ints, lengths: Ints
) -> _Places:
    codes = _ngram_codes(letters, lengths, definition)
    last = lengths - definition.n - (definition.k or 1)
    valid = _stands_once(codes) & (np.arange(codes.shape[1]) <= last[:, None])
    places = valid.sum(axis=1)
    chosen = uniform(bits, np.maximum(places, 1), places.shape)
    key_at = (np.cumsum(valid, axis=1) == chosen[:, None] + 1).argmax(axis=1)
    return places > 0, key_at, np.full_like(key_at, -1)


def _ngram_codes(letters: Ints, lengths: Ints, definition: Definition) -> Ints:
    """One number an n-gram, (B, max_length - n + 1); -1 where it would run beyond the string's end."""
    starts = letters.shape[1] - definition.n + 1
    codes = np.zeros((len(letters), starts), dtype=np.int64)
    for offset in range(definition.n):
        codes = codes * definition.vocabulary + letters[:, offset : offset + starts]
    codes[np.arange(starts) > (lengths - definition.n)[:, None]] = -1
    return codes


def _stands_once(codes: Ints) -> NDArray[np.bool_]:
    """Where a row's number stands nowhere else in the row."""
    order = codes.argsort(axis=1, kind="stable")
    ordered = np.take_along_axis(codes, order, axis=1)
    as_before = np.zeros(codes.shape, dtype=np.bool_)
    as_before[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    as_after = np.zeros_like(as_before)
    as_after[:, :-1] = as_before[:, 1:]
    once = np.empty_like(as_before)
    np.put_along_axis(once, order, ~(as_before | as_after), axis=1)
    return once


def _written_twice(definition: Definition, bits: BitGenerator, letters: Ints, lengths: Ints) -> _Places:
    """Write an n-gram over another one, in place; the two places do not overlap."""
    n, width = definition.n, np.arange(definition.n)
    # two distinct numbers a, b; with n - 1 letters put between them they are two places n or more apart
    room = lengths - 2 * n + 2
    a = uniform(bits, room, lengths.shape)
    b = uniform(bits, room - 1, lengths.shape)
    b += b >= a
    key_at = np.where(a < b, a, a + n - 1)
    again_at = np.where(a < b, b + n - 1, b)
    key = np.take_along_axis(letters, key_at[:, None] + width, axis=1)
    over = np.take_along_axis(letters, again_at[:, None] + width, axis=1)
    np.put_along_axis(letters, again_at[:, None] + width, key, axis=1)
    return (key != over).any(axis=1), key_at, again_at


_PLACE: dict[str, Callable[[Definition, BitGenerator, Ints, Ints], _Places]] = {
    "copy": _no_key,
    "prefix_ngram": _key_that_stands_once,
    "suffix_ngram": _key_that_stands_once,
    "duplicate_ngram": _written_twice,
}
