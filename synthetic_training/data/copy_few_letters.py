"""A training task that no benchmark has: copying strings of few different letters, so that n-grams repeat."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from dataset_builders.checks import check_integer
from dataset_builders.string_tasks.registry import register_string_task
from dataset_builders.string_tasks.task import Array, Examples, Part, RandomIntegers, StringTask


@register_string_task
@dataclass(frozen=True)
class CopyFewLetters(StringTask):
    """Copy a string of random letters from a small part of the alphabet: ``$ededf|ededf.``

    The number of letters to choose from is uniform from ``fewest`` to the size of the alphabet; they follow
    each other in the alphabet, with a after z. Fewer letters give more and longer repeated
    n-grams, as in longer strings of all letters.

    Attributes:
        fewest: minimum number of letters to choose from.
    """

    name: ClassVar[str] = "copy_few_letters"
    benchmark_lengths: ClassVar[tuple[int, ...]] = ()

    fewest: int = 3

    def check(self) -> None:
        check_integer("fewest", self.fewest, 1, self.vocabulary)

    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        count = self.fewest + random.integers(self.vocabulary - self.fewest + 1)
        first = random.integers(self.vocabulary)
        letters = first[:, None] + random.integers(count[:, None], (self.max_length,))
        string = Part(letters % self.vocabulary, lengths)
        return Examples((string, "|", replace(string, scored=True)))
