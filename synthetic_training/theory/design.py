"""Sizes of Theorem 2.3's transformer, and how hard its attention must be (arXiv 2402.01032).

A token's *code* is b + 1 numbers, b = max(1, ceil(log2 D)) for an alphabet of D letters::

    letter number i   the b bits of i as -1 and 1, then -1
    $ and |           b times -1, then t > 1: the beginning of a copy looks like the beginning of the text
    . and *           b times -1, then -1

A *window* is the codes of n tokens one after the other. The score of two windows is their inner product.
Token number j of the text (from 0) offers the window of the n tokens *before* it; the copy's newest token
number i asks with the n tokens that *end* at it. Attention goes to the j of the largest score, and what
stands at j is what comes next.

**Why the largest score is the right one.** Let the string have L >= 2n letters of which no n stand twice.

A. The asking window holds letters alone. The same letters in the string score n (b + 1). Any other window
   without a marker differs in a bit, or more: at least 2 less. One with a marker has -t for 1: at least
   1 + t less.
B. The asking window holds ``|``, k places back (0 <= k < n), so k letters of the copy are there. The right
   token is number k + 1, whose window has ``$`` at that place: t^2 for the two, and the k letters agree. At
   the n - 1 - k places before, the text had not begun. What stands there is the mean of the tokens so far
   (see ``construction``), which is at worst -b for bits and -(t - 1) / 2 for the markers. Against this,

   * a letter at that place gives -t, and at the other places there is at most (n - 1)(b + 1);
   * if the text had not begun at that place, it gives at most b + t (t - 1) / 2 (then k >= 1, and the ``$``
     itself stands at another place, where -t is what it gives for 1);
   * the token ``$`` itself has nothing but means of ``$`` in its window, which would be the best of all:
     its score is made smaller by a penalty P.

   t and P are the least integers by which the right one is better by 2 + t^2 / 8 in all three.

**Inverse temperature.** Scores are multiplied by beta before the softmax over T <= 2L + 3 tokens. If the
largest is ahead of all others by g, the others get less than T exp(-beta g) of the attention. The output is
right if they get at most 1 / (4 (t + 1)) of it: then no bit and no marker of what is read changes its sign.
So it is enough that

    beta g >= ln(4 (t + 1) T)                                                              (1)

In exact numbers g = 2. In a format whose unit roundoff is u, a code that stood h places back is read from
means of h and h + 1 tokens times h and h + 1 (see ``construction``), with an error up to (4 h + 5) u: two
roundings of each mean, one of the difference, one in the layer norm, one in the projection. A score adds up
the errors of both windows in b + 1 numbers each, and ``|`` at the token itself adds 4 t u at each place:

    E = 5/4 (((b + 1)(4 n^2 + 10 n) + 4 n t) u + 2 n (b + 1) f),     g = 2 - 2 E              (2)

where f bounds what the layer norms change (``norm_drift``), and 5/4 is for terms of second order. In B the
errors grow with t^2; that is what t^2 / 8 is for. (2) supposes that attention adds up in float32 or better
and rounds its result once or twice, as PyTorch's ``scaled_dot_product_attention`` does; the project's
``hard_alibi_eager`` rounds the scores too, so in bfloat16 nothing is said of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from dataset_builders.checks import check_integer

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-9}
"""Unit roundoff u of each format: half the distance from 1 to the next number."""

CONSTANT = 1024.0
"""A feature that all tokens have, so large that a layer norm divides all of them by nearly the same."""

MOST_N = 32
"""Keeps the model small enough to write; the theorem has no such limit."""


@dataclass(frozen=True)
class Design:
    """Theorem 2.3's transformer for D ``letters`` and n.

    Raises:
        InputError: ``letters`` is not 2 to 26, or ``n`` not 1 to ``MOST_N``.
    """

    letters: int
    n: int

    def __post_init__(self) -> None:
        check_integer("letters", self.letters, 2, 26)
        check_integer("n", self.n, 1, MOST_N)

    @property
    def bits(self) -> int:
        """b, bits of a letter."""
        return (self.letters - 1).bit_length()

    @property
    def code(self) -> int:
        """b + 1, numbers in a token's code."""
        return self.bits + 1

    @property
    def dimension(self) -> int:
        """Numbers of the residual stream that are in use, O(n log D): each stands there with its negative.

        They are the constant, the mark of ``$``, a token's own code, the n codes before it, and the answer.
        """
        return 2 * (2 + (self.n + 2) * self.code)

    @property
    def heads(self) -> int:
        """Spans 0 to n, and one head that sees everything."""
        return self.n + 2

    @property
    def head_size(self) -> int:
        """The head that sees everything compares n codes and the mark of ``$``."""
        return max(self.n * self.code + 1, -(-self.dimension // self.heads))

    @property
    def hidden_size(self) -> int:
        """O(n^2 log D): GPT-NeoX gives each of the n + 2 heads an equal part of the width.

        The theorem's heads may be as wide as the model, which then needs ``dimension`` numbers.
        """
        return self.heads * self.head_size

    @cached_property
    def marker(self) -> int:
        """t, what ``$`` and ``|`` have in the last place of their codes; see B above."""
        b, n, t = self.bits, self.n, 2
        while True:
            unbegun = b + (t - 1) / 2
            ahead_of_letters = t * t + t - (n - 1) * (b + 1 + unbegun)
            right = (b + 1) + b + t * t - (n - 2) * unbegun
            ahead_of_means = right - ((n - 1) * (b + 1) + b + t * (t - 1) / 2 - (1 + t))
            if min(ahead_of_letters, ahead_of_means if n > 1 else math.inf) >= 2 + t * t / 8:
                return t
            t += 1

    @property
    def penalty(self) -> int:
        """P, by which the token ``$`` is made smaller as an answer; see B above."""
        b, n, t = self.bits, self.n, self.marker
        return math.ceil((n - 1) * (2 * b + (t - 1) / 2) + 2 + t * t / 8)

    @property
    def norm_drift(self) -> float:
        """f: by how much, relative to 1, two tokens may differ in what a layer norm divides them by."""
        return ((self.n + 2) * self.code + 3 * self.marker**2) / (2 * CONSTANT**2)

    def gap(self, dtype: str) -> float:
        """g of (2): by how much the right token's score is ahead in a format; 0 or less says nothing."""
        n, code = self.n, self.code
        rounding = (code * (4 * n * n + 10 * n) + 4 * n * self.marker) * ROUNDOFF[dtype]
        return 2 - 2 * 1.25 * (rounding + 2 * n * code * self.norm_drift)

    def inverse_temperature(self, length: int) -> float:
        """beta: the least power of two that satisfies (1) with g = 1, for strings of ``length`` letters.

        Half of the gap is left to rounding; where that is enough, ``proven_length`` says.
        """
        return 2.0 ** math.ceil(math.log2(math.log(4 * (self.marker + 1) * (2 * length + 3))))

    def proven_length(self, beta: float, dtype: str) -> int:
        """The largest L for which (1) holds with (2) at this inverse temperature; 0 if there is none."""
        tokens = math.exp(min(beta * self.gap(dtype), 700)) / (4 * (self.marker + 1))
        return max(0, int((tokens - 3) / 2))
