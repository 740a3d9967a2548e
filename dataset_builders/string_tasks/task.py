"""The interface of string tasks: how examples are drawn, with their questions and answers.

A new task is a subclass of ``StringTask`` in its own module; ``reverse`` is the shortest complete example.
Its ``draw`` is written against the array API standard (https://data-apis.org/array-api), with ``random.xp``
as the namespace, so that NumPy draws documents with it and PyTorch draws training batches, on any device.
Nothing in it may depend on the value of an array: do not use ``if`` or ``int()`` on an array.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol, TypeAlias

from dataset_builders.checks import check_integer
from dataset_builders.errors import InputError
from dataset_builders.string_tasks.symbols import Symbols

Array: TypeAlias = Any
"""A NumPy array or a PyTorch tensor."""

MAX_LENGTH = 10_000
"""Maximum string length, far above the paper's 1,000; a block of such documents still fits in memory."""

MAX_VOCABULARY = 2**20
"""Maximum number of different letters, larger than any model's vocabulary."""


class RandomIntegers(Protocol):
    """Random integers for B examples at once."""

    @property
    def xp(self) -> Any:
        """The array API namespace of the integers."""

    def integers(self, bound: int | Array, shape: tuple[int, ...] = ()) -> Array:
        """Uniform integers from 0 to ``bound`` - 1, ``(B, *shape)`` int64.

        Args:
            bound: at most 2^31; an integer, or an array that broadcasts against the result.
            shape: shape of the integers for each example. It may depend only on the task's settings.
        """


@dataclass(frozen=True)
class Part:
    """The letters of one part of B examples.

    Attributes:
        letters: (B, W) int64, 0 to vocabulary - 1; W is the maximum length of the part. Values
            beyond a part's length have no meaning.
        lengths: (B,) int64, length of each example's part.
        scored: whether the letters are to be predicted, as one bool or (W,) bools.
    """

    letters: Array
    lengths: Array
    scored: bool | Array = False


@dataclass(frozen=True)
class Examples:
    """B examples.

    Attributes:
        parts: the consecutive parts between an example's ``$`` and its ``.``; "|" is the bar.
        key: the key to look up, which documents list in a separate column; None if there is none.
        valid: (B,) bools, whether each example is valid; invalid examples are redrawn. None if all are valid.
    """

    parts: tuple[Part | Literal["|"], ...]
    key: Part | None = None
    valid: Array | None = None


@dataclass(frozen=True)
class StringTask(ABC):
    """A task for one range of lengths. A subclass may add settings as fields with defaults.

    Attributes:
        min_length: minimum length of a string in letters; lengths are uniform.
        max_length: maximum length of a string in letters, at most ``MAX_LENGTH``.
        vocabulary: number of different letters.

    Raises:
        InputError: a value is out of range, or no string satisfies the settings.
    """

    name: ClassVar[str]
    """Name of the task, such as ``copy``."""
    version: ClassVar[str] = "1.0"
    """Version of the documents; it changes whenever the same settings give different documents."""
    benchmark_lengths: ClassVar[tuple[int, ...]] = (20, 50, 100, 200)
    """Lengths of the strings in the benchmark's configs; a task without them is for training only."""

    min_length: int
    max_length: int
    vocabulary: int = 26

    def __post_init__(self) -> None:
        same = self.min_length == self.max_length
        check_integer("length" if same else "min_length", self.min_length, 1, MAX_LENGTH)
        check_integer("max_length", self.max_length, 1, MAX_LENGTH)
        if self.max_length < self.min_length:
            raise InputError(
                f"max_length = {self.max_length} is smaller than min_length = {self.min_length}; lengths go "
                "from min_length to max_length"
            )
        check_integer("vocabulary", self.vocabulary, 1, MAX_VOCABULARY)
        self.check()
        if self.min_length < self.shortest:
            given = {name: value for name, value in self.settings.items() if value is not None}
            settings = " and ".join(f"{name} = {value}" for name, value in given.items())
            raise InputError(
                f"{self.name}{' with ' if settings else ''}{settings} needs strings of at least "
                f"{self.shortest} letters, not {self.min_length}"
            )

    @abstractmethod
    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        """Draw one example for each length.

        Args:
            random: the source of all randomness.
            lengths: (B,) int64, string length of each example, from ``min_length`` to ``max_length``.
        """

    def check(self) -> None:  # noqa: B027  a task without settings has nothing to check
        """Raise ``InputError`` if a setting of the subclass is out of range."""

    @property
    def shortest(self) -> int:
        """Minimum length of a string for which the task is defined."""
        return 1

    @property
    def uniform_letters(self) -> int | None:
        """Length of the answer in letters if all answers have the same length, with letters that are
        independent and uniform even given the key; otherwise None."""
        return None

    @property
    def rare(self) -> str:
        """End of an error message: what makes an example valid, and which settings make this more likely."""
        return "make a valid example; use other lengths"

    @property
    def settings(self) -> dict[str, Any]:
        """The task's settings besides lengths and vocabulary."""
        return {k: v for k, v in asdict(self).items() if k not in ("min_length", "max_length", "vocabulary")}

    @property
    def symbols(self) -> Symbols:
        """The symbols of the task's examples."""
        return Symbols(self.vocabulary)

    def random_string(self, random: RandomIntegers, lengths: Array) -> Part:
        """Strings of independent, uniform letters with these lengths."""
        return Part(random.integers(self.vocabulary, (self.max_length,)), lengths)


def piece(xp: Any, letters: Array, start: Array, width: int) -> Array:
    """The ``width`` letters of each string (B, W) from ``start`` (B,) on, (B, width); arbitrary beyond W."""
    places = start[:, None] + indices(xp, width, letters)
    return xp.take_along_axis(letters, places % letters.shape[1], axis=1)


def indices(xp: Any, count: int, like: Array) -> Array:
    """The integers 0 to ``count`` - 1, (count,) int64, on the device of another array."""
    # arrays of NumPy 1 have no device
    return xp.arange(count, dtype=xp.int64, device=getattr(like, "device", None))
