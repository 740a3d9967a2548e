"""Types of command-line arguments: ``KEY=VALUE`` pairs, and lengths with ranges."""

import json
from typing import Any

from tyro.constructors import PrimitiveConstructorSpec

from dataset_builders.ranges import parse_integers

Value = int | float | bool | str | list[Any] | dict[str, Any] | None


def parse_value(text: str) -> Value:
    """``true``, ``null``, ``8``, ``1e-3``, ``gelu``, ``[1, 3]`` and ``{"layers": [1]}`` as Python values."""
    try:
        value = json.loads(_PYTHON.get(text, text))
    except (ValueError, RecursionError):
        return text
    return text if isinstance(value, str) else value


_PYTHON = {"True": "true", "False": "false", "None": "null"}


def _written(value: Value) -> str:
    return json.dumps(value) if isinstance(value, list | dict) else str(value)


def _parse_pairs(pairs: list[str]) -> dict[str, Value]:
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ValueError(f"{pair!r} is not KEY=VALUE")
        values[key] = parse_value(value)
    return values


def _parse_lengths(texts: list[str]) -> tuple[int, ...]:
    return parse_integers("lengths", texts) if texts else ()


key_values = PrimitiveConstructorSpec[dict[str, Value]](
    nargs="*",
    metavar="KEY=VALUE ...",
    instance_from_str=_parse_pairs,
    is_instance=lambda value: isinstance(value, dict),
    str_from_instance=lambda values: [f"{key}={_written(value)}" for key, value in values.items()],
)
"""How tyro reads a dict of ``Value``."""

length_ranges = PrimitiveConstructorSpec[tuple[int, ...]](
    nargs="*",
    metavar="LENGTH|FIRST:LAST:STEP ...",
    instance_from_str=_parse_lengths,
    is_instance=lambda value: isinstance(value, tuple) and all(isinstance(one, int) for one in value),
    str_from_instance=lambda values: [str(value) for value in values],
)
"""How tyro reads lengths: numbers and ranges that include their end, such as ``20:120:20``."""
