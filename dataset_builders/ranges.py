"""Lists and ranges of integers as users type them: ``20 40``, ``20,40`` and ``20:120:20``."""

import re
from collections.abc import Iterable, Iterator

from dataset_builders.checks import is_integer
from dataset_builders.errors import InputError

MAX_VALUES = 10_000
"""Maximum number of values; larger ranges are typing errors, and building them would take too long."""

_RANGE = re.compile(r"(-?\d{1,18})(?::(-?\d{1,18})(?::(\d{1,18}))?)?", re.ASCII)


def parse_integers(name: str, given: object) -> tuple[int, ...]:
    """The integers in a user's input, each once, in the order of the input.

    Args:
        name: name of the values in messages.
        given: an integer, a string, or a list of these. A string contains integers and ranges, separated
            by commas or spaces; ``first:last:step`` is a range that includes ``last`` if a step ends
            there, and ``first:last`` has step 1.

    Raises:
        InputError: the input has another form, a range is empty, or there are no values or too many.
    """
    found = dict.fromkeys(_values(name, given if isinstance(given, list | tuple) else [given]))
    if not found:
        raise InputError(f"{name} must contain at least one integer")
    return tuple(found)


def _values(name: str, items: Iterable[object]) -> Iterator[int]:
    count = 0
    for item in items:
        parts = re.split(r"[\s,]+", item.strip()) if isinstance(item, str) else [item]
        for part in parts:
            values = _range(name, part) if isinstance(part, str) else _integer(name, part)
            count += len(values)
            if count > MAX_VALUES:
                raise InputError(f"{name} must contain at most {MAX_VALUES} integers")
            yield from values


def _integer(name: str, value: object) -> range:
    if not isinstance(value, int) or not is_integer(value):
        raise InputError(
            f"{name} must be an integer, a range such as 20:120:20 or a list of these, not {value!r}"
        )
    return range(value, value + 1)


def _range(name: str, text: str) -> range:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise InputError(
            f"{name} must be integers of at most 18 digits or ranges such as 20:120:20, not {text!r}"
        )
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    step = 1 if match[3] is None else int(match[3])
    if step == 0:
        raise InputError(f"{name}: the step of {text!r} must be at least 1, not 0")
    if last < first:
        raise InputError(f"{name}: the range {text!r} is empty, since {last} is smaller than {first}")
    return range(first, last + 1, step)
