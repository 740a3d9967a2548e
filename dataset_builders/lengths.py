"""The lengths at which a benchmark is evaluated, and how they are written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataset_builders.errors import InputError
from dataset_builders.ranges import parse_integers


@dataclass(frozen=True)
class Lengths:
    """Lengths that are integers, each the value of one parameter of the builder.

    Attributes:
        parameter: the builder's parameter that is the length, e.g. ``entries``.
        unit: unit of the lengths, e.g. ``letters``.
        standard: lengths of the group with the benchmark's name.
        long: lengths of the group whose name ends in ``_long``; empty if there is no such group.

    Raises:
        InputError: there are no lengths, or no unit.
    """

    parameter: str
    unit: str
    standard: tuple[Any, ...]
    long: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if not self.standard or not self.unit or not self.parameter:
            raise InputError("a benchmark's lengths need a parameter, a unit and at least one length")

    @property
    def all(self) -> tuple[Any, ...]:
        """All lengths in the release."""
        return (*self.standard, *self.long)

    @property
    def option(self) -> str:
        """The command-line option for lengths."""
        return self.parameter

    @property
    def any_length(self) -> bool:
        """Whether there are tasks for any length; their names end in ``_n``."""
        return True

    @property
    def parameters(self) -> tuple[str, ...]:
        """The builder's parameters that a length sets."""
        return (self.parameter,)

    def parse(self, given: object) -> tuple[Any, ...]:
        """The lengths in a user's input: integers, ranges such as ``20:120:20``, or lists of these.

        Raises:
            InputError: the input has another form.
        """
        return parse_integers(self.option, given)

    def arguments(self, length: Any) -> dict[str, Any]:
        """The builder's arguments for a length."""
        return {self.parameter: length}

    def label(self, arguments: Mapping[str, Any]) -> str:
        """The part of a config's name that encodes the length; the inverse of ``arguments``."""
        return str(arguments[self.parameter])
