"""Copying strings in which an n-gram occurs twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from dataset_builders.checks import check_integer
from dataset_builders.string_tasks.ngram_lookup import check_ngrams
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


@register_string_task
@dataclass(frozen=True)
class DuplicateNgram(StringTask):
    """Copy a string in which one n-gram occurs twice: ``$qwertyqw|qwertyqw.``

    One n-gram is overwritten with another. The two positions are drawn uniformly from all pairs that do not
    overlap.

    Deviation from the code released with the paper: that code draws two n-grams of the string and
    replaces every occurrence of one by the other with ``str.replace``. If the two overlap or are equal, the
    result may contain no n-gram twice: in 8% of strings of 50 letters at n = 3, in 40% at n = 10. It also
    never draws one of a string's last n-grams. Here, every string contains a duplicate.

    Attributes:
        n: length of the n-gram in letters.
    """

    name: ClassVar[str] = "duplicate_ngram"

    n: int = 3

    def check(self) -> None:
        check_integer("n", self.n, 1, MAX_LENGTH)
        check_ngrams(self.name, self.vocabulary, self.n)

    @property
    def shortest(self) -> int:
        return 2 * self.n

    @property
    def rare(self) -> str:
        return f"contain two different n-grams of n = {self.n}; use a larger n or a larger vocabulary"

    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        xp, n, string = random.xp, self.n, self.random_string(random, lengths)
        # two different numbers a and b; adding n - 1 to the larger gives two positions at least n apart
        room = lengths - 2 * n + 2
        a, b = random.integers(room), random.integers(room - 1)
        b = b + xp.astype(b >= a, xp.int64)
        source, target = xp.where(a < b, a, a + n - 1), xp.where(a < b, b + n - 1, b)
        key, over = (piece(xp, string.letters, at, n) for at in (source, target))
        places = indices(xp, self.max_length, string.letters)
        beyond = places - target[:, None]
        back = xp.where((beyond >= 0) & (beyond < n), (target - source)[:, None], 0)
        string = replace(string, letters=xp.take_along_axis(string.letters, places - back, axis=1))
        answer = replace(string, scored=True)
        return Examples(
            (string, "|", answer), Part(key, xp.full_like(lengths, n)), xp.any(key != over, axis=1)
        )
