"""How a benchmark's wrong answers are classified."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ErrorClasses:
    """The classes of a benchmark's wrong answers.

    Attributes:
        names: the classes, in the order in which they are shown.
        classify: function of a document and the text generated for it, which was scored as wrong; returns one
            of the names. It raises ``InputError`` if this is no document of the benchmark.
        references: name of a way to answer without memory -> function of a document that gives the
            probability of each class, for the classes for which it is above 0.
    """

    names: tuple[str, ...]
    classify: Callable[[Mapping[str, Any], str], str]
    references: Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, float]]]
