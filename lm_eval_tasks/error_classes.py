"""The definition of a benchmark's classes of wrong answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ErrorClasses:
    """The classes of a benchmark's wrong answers.

    Attributes:
        names: the classes, in the order in which they are shown.
        classify: function that takes a document and a wrong answer to it, as generated text, and returns one
            of the names. It raises ``InputError`` if the document is not from the benchmark.
        references: ways to answer without memory, by name. Each is a function that takes a document and
            returns the probability of each class, without classes of probability 0.
    """

    names: tuple[str, ...]
    classify: Callable[[Mapping[str, Any], str], str]
    references: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, float]]]
