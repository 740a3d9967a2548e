"""The symbols of string tasks: letters and four special symbols (arXiv 2402.01032, section 3).

Each symbol is one token; letter number i is token i. An example of the copy task and its tokens::

    $   a   b   |   a   b   .   *
    26  0   1   27  0   1   28  29

Vocabularies of up to 26 letters are written a to z. Larger ones are written as numbers, with a space between
symbols::

    $    7  503  |    7  503  .       a vocabulary of 512 letters
    512  7  503  513  7  503  514
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from dataset_builders.errors import InputError

LETTERS = string.ascii_lowercase
START, BAR, END, PAD = MARKS = "$|.*"
"""The special symbols that start an example, separate its parts, end it, and pad it."""


@dataclass(frozen=True)
class Symbols:
    """The symbols of a vocabulary, and their token ids.

    Vocabularies of up to 26 letters share one set of 30 symbols, so that a model trained with one vocabulary
    can be evaluated with another.

    Attributes:
        vocabulary: number of different letters in a string.
    """

    vocabulary: int

    @property
    def letters(self) -> int:
        """Number of letters among the symbols, at least 26."""
        return max(self.vocabulary, len(LETTERS))

    @property
    def are_characters(self) -> bool:
        """Whether each symbol is one character, so that no separator is needed."""
        return self.letters == len(LETTERS)

    @property
    def start_id(self) -> int:
        return self.letters

    @property
    def bar_id(self) -> int:
        return self.letters + 1

    @property
    def end_id(self) -> int:
        return self.letters + 2

    @property
    def pad_id(self) -> int:
        return self.letters + 3

    @property
    def size(self) -> int:
        """Number of symbols."""
        return self.letters + len(MARKS)

    @cached_property
    def ids(self) -> dict[str, int]:
        """The token id of each symbol."""
        letters = LETTERS if self.are_characters else map(str, range(self.letters))
        return {symbol: i for i, symbol in enumerate([*letters, *MARKS])}

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.ids)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, one per symbol.

        Raises:
            InputError: the text contains another symbol.
        """
        try:
            return [self.ids[symbol] for symbol in (text if self.are_characters else text.split())]
        except KeyError as error:
            shown = "".join(self._names) if self.are_characters else f"0 to {self.letters - 1} {MARKS}"
            raise InputError(f"{error.args[0]!r} is not one of the {self.size} symbols {shown}") from None

    def decode(self, ids: Iterable[int]) -> str:
        """The text of token ids, given as any one-dimensional iterable.

        Raises:
            InputError: a number is not a token id.
        """
        numbers = [int(i) for i in ids]
        for number in numbers:
            if not 0 <= number < self.size:
                raise InputError(f"token ids must be 0 to {self.size - 1}, not {number}")
        return ("" if self.are_characters else " ").join(self._names[number] for number in numbers)
