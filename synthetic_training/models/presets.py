"""Presets: named arguments of the models, and in one case named settings of a run.

``presets.yaml`` holds the arguments. Those of ``paper`` and ``small`` give every architecture about the same
number of parameters, exact to ``TOLERANCE`` of ``PARAMETERS`` for the 30 symbols of the string tasks.
``released`` has the defaults of the code released with the paper, for its six models, and its run settings.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean

PARAMETERS = {"paper": 156_000_000, "small": 400_000}
"""Number of parameters of each preset. Between the paper's transformers (151 million) and its Mamba (162)."""

TOLERANCE = 0.05

_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "released": {
        "steps": 2000,
        "schedule": "linear_from_zero",
        "precision": "fp32",
        "eval_lengths": list(range(10, 20)),
        "eval_examples": 24,
        "eval_every": 2000,
    }
}
"""Settings of a run that differ from the defaults, by preset."""

_FILE = Path(__file__).with_suffix(".yaml")


@cache
def presets() -> dict[str, dict[str, dict[str, Any]]]:
    """Arguments by preset and by model."""
    import yaml

    content: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return content


def preset_settings(preset: str | None) -> Mapping[str, Any]:
    """The settings of a run that a preset has besides the model's arguments; a name may be unknown."""
    return _SETTINGS.get(preset or "", {})


def preset_arguments(preset: str, model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A model's arguments: those that are given, and the preset's for the rest.

    Args:
        preset: its name.
        model: as in ``find_architecture``.
        given: by the user, under any of their names.

    Raises:
        InputError: there is no such preset, or it has no sizes for this model.
    """
    from synthetic_training.models.config_arguments import ConfigArguments
    from synthetic_training.models.registry import find_architecture

    known = presets()
    if preset not in known:
        raise InputError(
            f"there is no preset {preset!r}{did_you_mean(preset, known)}; the presets are {', '.join(known)}"
        )
    if model not in known[preset]:
        raise InputError(
            f"the preset {preset} has no sizes for {model}{did_you_mean(model, known[preset])}; omit "
            "--preset and pass sizes by --model-args"
        )
    arguments = known[preset][model]
    if not given:
        return dict(arguments)
    architecture = find_architecture(model)
    names = ConfigArguments(model, architecture.config_class, frozenset(architecture.extra))
    taken = {names.own_name(argument) for argument in given}
    return {key: value for key, value in arguments.items() if names.own_name(key) not in taken} | dict(given)
