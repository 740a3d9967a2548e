"""Presets: named sets of model arguments; one preset also changes settings of the run.

``presets.yaml`` contains the arguments. With ``paper`` and ``small``, every architecture has about the same
number of parameters, within ``TOLERANCE`` of ``PARAMETERS`` for the 30 symbols of the string tasks.
``released`` has the defaults of the code released with the paper, for its six models and for the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

PARAMETERS = {"paper": 156_000_000, "small": 400_000}
"""Number of parameters of each preset; ``paper`` is between the paper's transformers (151 million) and its
Mamba (162 million)."""

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
    """The settings of a run that a preset changes; empty for unknown names."""
    return _SETTINGS.get(preset or "", {})
