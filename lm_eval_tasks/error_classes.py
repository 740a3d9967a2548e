"""How a benchmark's wrong answers are classified."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ErrorClasses:
    """The classes of a benchmark's wrong answers.

    Attributes:
        names: the classes, in the order in which they are shown.
        classify: function that takes a document and a wrong answer to it, as generated text, and returns one
            of the names. It raises ``InputError`` if the document is not one of the benchmark.
        references: name of a way to answer without memory -> function that takes a document and returns the
            probability of each class whose probability is above 0.
    """

    names: tuple[str, ...]
    classify: Callable[[Mapping[str, Any], str], str]
    references: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, float]]]
