"""A training task that no benchmark has: copying strings with a repeated part of random length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from dataset_builders.checks import check_integer
from dataset_builders.string_tasks.registry import register_string_task
from dataset_builders.string_tasks.task import (
    MAX_LENGTH,
    Array,
    Examples,
    RandomIntegers,
    StringTask,
    indices,
)


@register_string_task
@dataclass(frozen=True)
class CopyRepeats(StringTask):
    """Copy a string in which an n-gram of random length occurs twice: ``$qwertywe|qwertywe.``

    The length of the n-gram is uniform from 1 to ``longest``, or to half of the string if that is less; its
    two positions are uniform among all pairs that do not overlap. A model that copies by looking up the last
    few letters must look up more than ``longest`` letters to copy correctly.

    Attributes:
        longest: maximum length of the repeated n-gram in letters.
    """

    name: ClassVar[str] = "copy_repeats"
    benchmark_lengths: ClassVar[tuple[int, ...]] = ()

    longest: int = 8

    def check(self) -> None:
        check_integer("longest", self.longest, 1, MAX_LENGTH)

    @property
    def shortest(self) -> int:
        return 2

    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        xp, string = random.xp, self.random_string(random, lengths)
        half = lengths // 2
        n = 1 + random.integers(xp.where(half < self.longest, half, self.longest))
        # two different numbers a and b; adding n - 1 to the larger gives two positions at least n apart
        room = lengths - 2 * n + 2
        a, b = random.integers(room), random.integers(room - 1)
        b = b + xp.astype(b >= a, xp.int64)
        source, target = xp.where(a < b, a, a + n - 1), xp.where(a < b, b + n - 1, b)
        positions = indices(xp, self.max_length, string.letters)
        beyond = positions - target[:, None]
        back = xp.where((beyond >= 0) & (beyond < n[:, None]), (target - source)[:, None], 0)
        string = replace(string, letters=xp.take_along_axis(string.letters, positions - back, axis=1))
        return Examples((string, "|", replace(string, scored=True)))
