"""Named sizes: arguments that give every architecture about the same number of parameters.

``presets.yaml`` holds them. With the 30 symbols of the string tasks they are within ``TOLERANCE`` of
``PARAMETERS``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

PARAMETERS = {"paper": 156_000_000, "small": 400_000}
"""Number of parameters of each preset. Between the paper's transformers (151 million) and its Mamba (162)."""

TOLERANCE = 0.05

_FILE = Path(__file__).with_suffix(".yaml")


@cache
def presets() -> dict[str, dict[str, dict[str, Any]]]:
    """Arguments by preset and by model."""
    import yaml

    content: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(_FILE.read_text(encoding="utf-8"))
    return content
