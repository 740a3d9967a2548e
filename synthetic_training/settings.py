"""Settings as plain values, and as validated dataclasses.

A subclass of ``Settings`` validates itself when it is created, so code that receives one does not check it
again. Values come from a file (``read_settings`` and ``parse_settings``), from the command line, or from
Python.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from dataset_builders.files import read_yaml
from synthetic_training.argument_types import parse_value

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True)
class Settings:
    """A dataclass whose fields are checked against their annotations, and converted if this loses nothing.

    Raises:
        InputError: a value has the wrong type or is out of range; the message names it.
    """

    def __post_init__(self) -> None:
        from pydantic import ValidationError

        values = {one.name: getattr(self, one.name) for one in fields(self)}
        try:
            model = _model(type(self)).model_validate(values)  # type: ignore[arg-type]  # a class is hashable
        except ValidationError as error:
            located = [(*_locate(values, one["loc"]), one["msg"]) for one in error.errors()]
            name, value, _ = located[0]
            reasons = [_reason(message, value) for other, _, message in located if other == name]
            raise InputError(f"{name} = {value!r}: {_any_of(reasons)}") from None
        for name in values:
            object.__setattr__(self, name, getattr(model, name))
        self.check()

    def check(self) -> None:
        """Check that the values are compatible with each other.

        Raises:
            InputError: two values are incompatible.
        """

    def as_json(self) -> dict[str, Any]:
        """The settings as JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


Kind = TypeVar("Kind", bound=Settings)


def parse_settings(kind: type[Kind], content: Any, source: str) -> Kind:
    """Settings of one kind from plain values.

    Args:
        kind: class of the settings.
        content: a mapping of names to values; missing settings have their defaults.
        source: the origin of the settings, such as a file, for the error message.

    Raises:
        InputError: a name is unknown or missing, or a value is invalid; the message begins with the source.
    """
    known = {one.name: one for one in fields(kind)}
    if not isinstance(content, Mapping):
        raise InputError(f"{source} must contain settings, among {', '.join(known)}, not {content!r}")
    for name in content:
        if name not in known:
            raise InputError(f"{source}: there is no setting {name!r}{did_you_mean(str(name), known)}")
    for name, one in known.items():
        if name not in content and one.default is MISSING and one.default_factory is MISSING:
            raise InputError(f"{source} lacks {name}")
    try:
        return kind(**content)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None


def read_settings(file: Path) -> dict[str, Any]:
    """The plain values of a YAML or JSON file.

    Raises:
        InputError: the file cannot be read, or is not a mapping.
    """
    settings = read_yaml(file)
    if not isinstance(settings, dict):
        raise InputError(f"{file} must contain settings, as in 'steps: 1000'")
    arguments = settings.get("model_args")
    if isinstance(arguments, dict):
        settings["model_args"] = parse_values(arguments)
    return settings


def parse_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, with texts that are numbers as numbers: YAML reads 1e-3, without a point, as text."""
    return {name: parse_value(value) if isinstance(value, str) else value for name, value in values.items()}


@cache
def _model(kind: type[Settings]) -> "type[BaseModel]":
    from pydantic import ConfigDict, create_model

    hints = get_type_hints(kind, include_extras=True)
    types: dict[str, Any] = {one.name: (hints[one.name], ...) for one in fields(kind)}
    return create_model(
        kind.__name__, __config__=ConfigDict(protected_namespaces=(), arbitrary_types_allowed=True), **types
    )


def _locate(values: Mapping[str, Any], location: tuple[int | str, ...]) -> tuple[str, Any]:
    """The name of the value to which pydantic refers, such as ``eval_lengths.0``, and the value."""
    names: list[str] = []
    value: Any = values
    for part in location:
        known = (
            value
            if isinstance(value, Mapping)
            else range(len(value) if isinstance(value, list | tuple) else 0)
        )
        if part not in known:  # pydantic's name for one of several possible types
            break
        value = value[part]
        names.append(str(part))
    return ".".join(names), value


def _any_of(reasons: list[str]) -> str:
    """The reasons why a value has none of the possible types, as the end of a sentence."""
    first, *others = dict.fromkeys(reasons)
    start = "it should be "
    if not others or not all(one.startswith(start) for one in others):
        return first
    *middle, last = (one.removeprefix(start) for one in others)
    return f"{', '.join([first, *middle])} or {last}"


def _reason(message: str, value: Any) -> str:
    """Pydantic's message about a value, as the end of a sentence."""
    if isinstance(value, float) and not math.isfinite(value):
        return "it is not a number" if math.isnan(value) else "it should be finite"
    message = message.removeprefix("Value error, ")
    if message.startswith("Input "):
        return "it " + message.removeprefix("Input ")
    return message[:1].lower() + message[1:]
