"""Sizes of Theorem 2.3's transformer, and how sharp its attention must be (arXiv 2402.01032).

A token's *code* is b + 1 numbers, b = max(1, ceil(log2 D)) for an alphabet of D letters::

    letter number i   the b bits of i as -1 and 1, then -1
    $ and |           b times -1, then t > 1: the beginning of a copy looks like the beginning of the text
    . and *           b times -1, then -1

A *window* is the concatenated codes of n tokens. The score of two windows is their inner product. Token
number j of the text (from 0) offers the window of the n tokens *before* it; the copy's newest token number i
queries with the window of the n tokens that *end* at it. Attention goes to the j with the largest score, and
the token at j is the next token of the copy.

**Why the correct score is the largest.** Let the string have L >= 2n letters, with no n-gram occurring twice.

A. The querying window contains only letters. The same letters in the string score n (b + 1). Any other window
   without a marker differs in at least one bit and scores at least 2 less. A window with a marker has -t
   instead of 1, and scores at least 1 + t less.
B. The querying window contains ``|``, k positions back (0 <= k < n), and k letters of the copy. The correct
   token is number k + 1, whose window has ``$`` at that position: the two give t^2, and the k letters agree.
   The n - 1 - k positions before the ``$`` contain the mean of the tokens so far (see ``construction``),
   which gives at worst -b for bits and -(t - 1) / 2 for the markers. In comparison,

   * a letter at that position gives -t, and the other positions give at most (n - 1)(b + 1);
   * if that position is before the text, it gives at most b + t (t - 1) / 2 (then k >= 1, and the ``$``
     itself is at another position, where it gives -t instead of 1);
   * the token ``$`` itself has only means of ``$`` in its window, which would score best of all, so its score
     is reduced by a penalty P.

   t and P are the smallest integers with which the correct score is larger by 2 + t^2 / 8 in all three cases.

**Inverse temperature.** Scores are multiplied by beta before the softmax over T <= 2L + 3 tokens. If the
largest score exceeds all others by g, the others get less than T exp(-beta g) of the attention. The output is
correct if they get at most 1 / (4 (t + 1)) of it, because then no bit and no marker of the result changes its
sign. So it is enough that

    beta g >= ln(4 (t + 1) T)                                                              (1)

In exact arithmetic, g = 2. In a format with unit roundoff u, the code of the token h positions back is made
from means of h and h + 1 tokens times h and h + 1 (see ``construction``), with an error of up to (4 h + 5) u:
two roundings of each mean, one of the difference, one in the layer norm, and one in the projection. A score
sums the errors of both windows in b + 1 numbers each, and ``|`` at the token itself adds 4 t u per position:

    E = 5/4 (((b + 1)(4 n^2 + 10 n) + 4 n t) u + 2 n (b + 1) f),     g = 2 - 2 E              (2)

where f bounds the change by the layer norms (``norm_drift``), and 5/4 covers terms of second order. In B, the
errors grow with t^2, which is the reason for t^2 / 8. (2) assumes that attention sums in float32 or better
and rounds its result once or twice, as PyTorch's ``scaled_dot_product_attention`` does. The project's
``hard_alibi_eager`` also rounds the scores, so (2) does not apply to it in bfloat16.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

from dataset_builders.checks import check_integer

ROUNDOFF = {"float64": 2.0**-53, "float32": 2.0**-24, "bfloat16": 2.0**-8}
"""Unit roundoff u of each format: half the distance from 1 to the next number."""

CONSTANT = 1024.0
"""Value of a constant feature, so large that a layer norm divides all tokens by nearly the same number."""

MOST_N = 32
"""Maximum n, which keeps the checkpoint small; the theorem has no such limit."""


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
        """Number of features in the residual stream, O(n log D), each of which is stored with its negative.

        They are the constant, the mark of ``$``, a token's own code, the n codes before it, and the answer.
        """
        return 2 * (2 + (self.n + 2) * self.code)

    @property
    def heads(self) -> int:
        """Number of heads: one for each span from 0 to n, and one that sees everything."""
        return self.n + 2

    @property
    def head_size(self) -> int:
        """Size of a head: the head that sees everything compares n codes and the mark of ``$``."""
        return max(self.n * self.code + 1, -(-self.dimension // self.heads))

    @property
    def hidden_size(self) -> int:
        """Width of the model, O(n^2 log D): GPT-NeoX gives each of the n + 2 heads an equal part of the
        width.

        The theorem's heads may be as wide as the model, which then needs only ``dimension`` numbers.
        """
        return self.heads * self.head_size

    @cached_property
    def marker(self) -> int:
        """t, the last number in the codes of ``$`` and ``|``; see B above."""
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
        """P, by which the score of the token ``$`` as an answer is reduced; see B above."""
        b, n, t = self.bits, self.n, self.marker
        return math.ceil((n - 1) * (2 * b + (t - 1) / 2) + 2 + t * t / 8)

    @property
    def norm_drift(self) -> float:
        """f: the maximum relative difference between a layer norm's divisors of two tokens."""
        return ((self.n + 2) * self.code + 3 * self.marker**2) / (2 * CONSTANT**2)

    def gap(self, dtype: str) -> float:
        """g of (2): by how much the correct score exceeds the others in a format; vacuous if 0 or less."""
        n, code = self.n, self.code
        rounding = (code * (4 * n * n + 10 * n) + 4 * n * self.marker) * ROUNDOFF[dtype]
        return 2 - 2 * 1.25 * (rounding + 2 * n * code * self.norm_drift)

    def inverse_temperature(self, length: int) -> float:
        """beta: the smallest power of two that satisfies (1) with g = 1, for strings of ``length`` letters.

        Half of the gap is left for rounding; ``proven_length`` says up to which length this is enough.
        """
        return 2.0 ** math.ceil(math.log2(math.log(4 * (self.marker + 1) * (2 * length + 3))))

    def proven_length(self, beta: float, dtype: str) -> int:
        """The largest L for which this inverse temperature satisfies (1) with the g of (2); 0 if none."""
        tokens = math.exp(min(beta * self.gap(dtype), 700)) / (4 * (self.marker + 1))
        return max(0, int((tokens - 3) / 2))
