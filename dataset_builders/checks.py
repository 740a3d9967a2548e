"""Checks of user input, and helpers for error messages."""

import difflib
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypeGuard

from dataset_builders.errors import InputError

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_DOCUMENTS = 10_000_000
"""Maximum number of documents per config; larger numbers are typing errors that would fill disk or memory."""


def is_integer(value: object) -> TypeGuard[int]:
    """Whether the value is an ``int`` and not a ``bool``."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_integer(name: str, value: object, least: int | None = None, most: int | None = None) -> None:
    """Check that a value is an integer in a range.

    Raises:
        InputError: it is not; the message names the value and the range.
    """
    at_least = "" if least is None else f" of at least {least}"
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        raise InputError(f"{name} must be an integer{at_least}, not {value!r}")
    if most is not None and value > most:
        raise InputError(f"{name} must be at most {most}, not {value}")


def check_positive(name: str, value: object) -> None:
    """Check that a value is a finite number above 0.

    Raises:
        InputError: it is not; the message names the value.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < math.inf:
        raise InputError(f"{name} must be a number above 0, not {value!r}")


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """The end of a message about an unknown name: ``"; did you mean 'copy'?"``; empty if no name is close.

    Args:
        word: the unknown name.
        known: the valid names; case is ignored.
        prefix: prefix of the suggested name.
    """
    by_lower = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.5)
    return f"; did you mean {prefix + by_lower[close[0]]!r}?" if close else ""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its type if the message is empty."""
    # errors of Triton's compiler begin with source code, and have their message in an attribute
    reason = getattr(error, "error_message", None)
    message = reason if isinstance(reason, str) else str(error)
    return (message.strip() or type(error).__name__).splitlines()[0]


def printable(text: str) -> str:
    r"""The text with every character that is not printable written as an escape, such as ``\x1b``.

    Control characters, line breaks, marks that change the direction of writing and halves of surrogate
    pairs are all replaced, so that the result is one line and nothing in it acts on a terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, length: int) -> str:
    """The text on one line of at most ``length`` characters; a longer text is cut in the middle."""
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    head = (length - 1) // 2
    return f"{line[:head]}…{line[len(line) - (length - 1 - head) :]}"


def first_problem(error: "ValidationError") -> str:
    """The location and kind of pydantic's first problem, on one line, without the value itself."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(printable(str(part)) for part in first["loc"])
    message = printable(first["msg"].removeprefix("Value error, "))
    return shortened(f"{where}: {message}" if where else message, 300)
