"""Reversing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dataset_builders.string_tasks.registry import register_string_task
from dataset_builders.string_tasks.task import Array, Examples, Part, RandomIntegers, StringTask, piece


@register_string_task
@dataclass(frozen=True)
class Reverse(StringTask):
    """Write a string of random letters backwards: ``$qwerty|ytrewq.``"""

    name: ClassVar[str] = "reverse"
    benchmark_lengths: ClassVar[tuple[int, ...]] = (10, 20, 50, 100, 200, 500)

    @property
    def uniform_letters(self) -> int | None:
        return self.min_length if self.min_length == self.max_length else None

    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        xp, string = random.xp, self.random_string(random, lengths)
        backwards = piece(xp, xp.flip(string.letters, axis=1), self.max_length - lengths, self.max_length)
        return Examples((string, "|", Part(backwards, lengths, scored=True)))
