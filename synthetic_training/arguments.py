"""``KEY=VALUE`` on the command line."""

import json

from tyro.constructors import PrimitiveConstructorSpec

Value = int | float | bool | str


def parse_value(text: str) -> Value:
    """``true``, ``8``, ``1e-3`` and ``gelu`` as bool, int, float and str."""
    try:
        value = json.loads(text.lower() if text in ("True", "False") else text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) else text


def _parse(pairs: list[str]) -> dict[str, Value]:
    values = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise ValueError(f"{pair!r} is not KEY=VALUE")
        values[key] = parse_value(value)
    return values


key_values = PrimitiveConstructorSpec[dict[str, Value]](
    nargs="*",
    metavar="KEY=VALUE ...",
    instance_from_str=_parse,
    is_instance=lambda value: isinstance(value, dict),
    str_from_instance=lambda values: [f"{key}={value}" for key, value in values.items()],
)
"""How tyro reads a dict of ``Value``."""
