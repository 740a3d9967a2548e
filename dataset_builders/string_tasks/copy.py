"""Copying."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from dataset_builders.checks import check_integer
from dataset_builders.string_tasks.registry import register_string_task
from dataset_builders.string_tasks.task import MAX_LENGTH, Array, Examples, Part, RandomIntegers, StringTask


@register_string_task
@dataclass(frozen=True)
class Copy(StringTask):
    """Copy a string of random letters: ``$qwerty|qwerty.``

    Attributes:
        k: length of the answer in letters, counted from the start of the string; None for the whole string.
    """

    name: ClassVar[str] = "copy"
    benchmark_lengths: ClassVar[tuple[int, ...]] = (10, 20, 50, 100, 200, 500)

    k: int | None = None

    def check(self) -> None:
        if self.k is not None:
            check_integer("k", self.k, 1, MAX_LENGTH)

    @property
    def shortest(self) -> int:
        return self.k or 1

    @property
    def uniform_letters(self) -> int | None:
        return (self.k or self.min_length) if self.min_length == self.max_length else self.k

    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        string = self.random_string(random, lengths)
        answer = replace(string, scored=True)
        if self.k is not None:
            k = random.xp.full_like(lengths, self.k)
            answer = Part(string.letters[:, : self.k], k, scored=True)
        return Examples((string, "|", answer))
