"""The paper's bounds as functions (arXiv 2402.01032, section 2), exact even for huge numbers.

======================  ==========================================================================
Lemma 2.4               some n-gram of a uniform string repeats with probability below L^2 D^-n
Corollary 2.5           n of about log_D(L^2 / eps) is enough for error eps on uniform strings
Theorem 2.7             a model with |S| states copies at most |S| of the D^L strings
Corollary 2.8           with less than L log2 D - 1 bits of state, the error is above 1/2
======================  ==========================================================================

Symbols: D ``letters``, L ``length``, n; |S| ``states``, and ``bits`` = mem(S) = log2 |S|.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from synthetic_training.theory.design import Design

_BATCH_LETTERS = 2**20


@dataclass(frozen=True)
class Proportion:
    """A proportion of random strings, with its standard error."""

    mean: float
    stderr: float

    @classmethod
    def of(cls, count: int, strings: int) -> Proportion:
        """The proportion ``count`` / ``strings``."""
        mean = count / strings
        return cls(mean, math.sqrt(mean * (1 - mean) / strings))


def repeated_ngram_proportion(
    letters: int, n: int, length: int, strings: int = 10_000, seed: int = 0
) -> Proportion:
    """The proportion of random strings in which some n-gram occurs twice.

    The same seed gives the same strings on every machine.

    Raises:
        InputError: a value is out of range, or n-grams do not fit in 63 bits.
    """
    import numpy as np

    from dataset_builders.string_tasks import Copy
    from dataset_builders.string_tasks.sampling import sample

    check_integer("strings", strings, 1)
    check_integer("n", n, 1)
    check_integer("seed", seed, 0)
    task = Copy(length, length, letters)
    if letters**n >= 2**63:
        raise InputError(f"n is too large: with {letters} letters, n-grams of {n} do not fit in 63 bits")
    bits, repeated = np.random.PCG64(seed), 0
    batch = max(1, _BATCH_LETTERS // length)
    for first in range(0, strings, batch):
        text = sample(task, min(batch, strings - first), bits).tokens[:, 1 : length + 1]
        windows = max(0, length - n + 1)
        grams = np.zeros((len(text), windows), dtype=np.int64)
        for offset in range(n):
            grams = grams * letters + text[:, offset : offset + windows]
        grams.sort(axis=1)
        repeated += int((grams[:, 1:] == grams[:, :-1]).any(axis=1).sum())
    return Proportion.of(repeated, strings)


def repeated_ngram_bound(letters: int, n: int, length: int) -> Fraction:
    """Lemma 2.4's bound L^2 D^-n on the probability that some n-gram repeats; vacuous above 1."""
    return Fraction(length * length, letters**n)


def smallest_n(letters: int, length: int, error: Fraction) -> int:
    """Corollary 2.5's n: the smallest for which Lemma 2.4 bounds the error by ``error``.

    Theorem 2.3 also requires 2n <= L.

    Raises:
        InputError: the error is not above 0, or 2n > L.
    """
    check_integer("letters", letters, 2)
    if error <= 0:
        raise InputError(f"the error must be above 0, not {error}")
    n = 1
    while repeated_ngram_bound(letters, n, length) > error:
        n += 1
    if 2 * n > length:
        raise InputError(
            f"an error of {error} needs n = {n} and strings of at least {2 * n} letters, not {length}"
        )
    return n


def smallest_design(letters: int, length: int, error: Fraction) -> Design:
    """Corollary 2.5's transformer, whose ``dimension`` is O(log(L^2 / eps)).

    Raises:
        InputError: the error is not above 0, or 2n > L.
    """
    return Design(letters, smallest_n(letters, length, error))


def gssm_error_bound(states: int, letters: int, length: int) -> Fraction:
    """Theorem 2.7's lower bound on the error of a model with ``|S|`` states: 1 - ``|S|`` / D^L, at least 0.

    The state after the string determines the answer, so the model gives at most ``|S|`` different answers.
    """
    check_integer("states", states, 1)
    return max(Fraction(0), 1 - Fraction(states, letters**length))


def log2_accuracy_bound(bits: int, letters: int, length: int) -> float:
    """log2 of Theorem 2.7's bound on the accuracy, mem(S) - L log2 D, at most 0; for numbers of any size."""
    return min(0.0, bits - length * math.log2(letters))


def gssm_error_bound_of_bits(bits: int, letters: int, length: int) -> float:
    """Theorem 2.7's bound on the error for a state of ``bits`` bits, rounded to a float."""
    return abs(math.expm1(math.log(2) * log2_accuracy_bound(bits, letters, length)))


def half_error_length(bits: int, letters: int) -> int:
    """Corollary 2.8: the smallest L with mem(S) < L log2 D - 1; from this L on, the error is above 1/2."""
    check_integer("bits", bits, 0)
    check_integer("letters", letters, 2)
    power = letters.bit_length() - 1
    if letters == 1 << power:
        return (bits + 1) // power + 1
    # log2 D is irrational, so (bits + 1) / log2 D is not an integer; this precision suffices to round it up
    with localcontext(prec=len(str(bits)) + 40):
        return int((bits + 1) * Decimal(2).ln() / Decimal(letters).ln()) + 1
