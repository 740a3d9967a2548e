"""Lengths as a user types them: a number, or a range that includes its end, as in the code of arXiv
2402.01032."""

import re

from dataset_builders.errors import InputError

_RANGE = re.compile(r"(\d+)(?::(\d+)(?::(\d+))?)?", re.ASCII)

MAX_COUNT = 10_000
"""Lengths that one range may stand for."""


def parse_lengths(text: str) -> tuple[int, ...]:
    """The lengths that a text stands for: ``20``, ``20:24`` or ``20:120:20``, with the last one included.

    Raises:
        InputError: the text is neither a number nor a range, or the range is empty or too long.
    """
    found = _RANGE.fullmatch(text.strip())
    if not found:
        raise InputError(f"{text!r} is not a length; write a number, or a range such as 20:120:20")
    first, last, step = (int(part) if part else None for part in found.groups())
    assert first is not None  # noqa: S101  the pattern has it
    last = first if last is None else last
    lengths = range(first, last + 1, 1 if step is None else step) if step != 0 else range(0)
    if not lengths:
        raise InputError(f"the range {text!r} is empty; write FIRST:LAST:STEP, such as 20:120:20")
    if len(lengths) > MAX_COUNT:
        raise InputError(f"the range {text!r} has {len(lengths)} lengths; the most are {MAX_COUNT}")
    return tuple(lengths)
