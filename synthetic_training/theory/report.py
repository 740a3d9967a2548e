"""The bounds for given sizes, as text."""

from __future__ import annotations

import math
from fractions import Fraction

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from synthetic_training.theory.bounds import (
    gssm_error_bound_of_bits,
    half_error_length,
    log2_accuracy_bound,
    repeated_ngram_bound,
    smallest_design,
)


def bounds_text(bits: int, letters: int, length: int, n: int, error: float) -> str:
    """The values of Lemma 2.4, Corollaries 2.5 and 2.8 and Theorem 2.7, one line each.

    Args:
        bits: size of a model's state in bits, mem(S).
        letters: D, number of letters in the alphabet.
        length: L, length of the strings in letters.
        n: length of the n-grams in the lemma.
        error: maximum error of the transformer in Corollary 2.5.

    Raises:
        InputError: a value is out of range.
    """
    check_integer("bits", bits, 0)
    check_integer("letters", letters, 2)
    check_integer("length", length, 1)
    check_integer("n", n, 1)
    if not 0 < error < 1:
        raise InputError(f"the error must be above 0 and below 1, not {error}")
    lemma = repeated_ngram_bound(letters, n, length)
    vacuous = " (vacuous)" if lemma >= 1 else ""
    try:
        design = smallest_design(letters, length, Fraction(str(error)))
    except InputError as reason:  # the strings are too short for the theorem, but the other bounds hold
        transformer = str(reason)
    else:
        size = f"n = {design.n}, dimension {design.dimension}"
        transformer = f"a transformer of {size} has an error of at most {error:g}"
    of_string = length * math.log2(letters)
    repeat = f"{float(lemma):.3g}{vacuous}"
    least = f"{gssm_error_bound_of_bits(bits, letters, length):.6g}"
    most = f"2^{log2_accuracy_bound(bits, letters, length):.6g}"
    half = f"{half_error_length(bits, letters):,} letters on; at {length:,} letters"
    rows = (
        ("Lemma 2.4", f"a uniform string has some {n}-gram twice with probability below {repeat}"),
        ("Corollary 2.5", transformer),
        (
            "Theorem 2.7",
            f"with {bits:,} bits of state the error is at least {least}; accuracy at most {most}",
        ),
        ("Corollary 2.8", f"the error is above 1/2 from {half}, with fewer than {of_string - 1:,.1f} bits"),
    )
    head = f"D = {letters} letters, L = {length:,}: a string has {of_string:,.1f} bits"
    return "\n".join([head, *(f"{name:14} {text}" for name, text in rows)])
