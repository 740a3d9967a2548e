"""Experiment trackers, which receive metrics in addition to ``metrics.jsonl``."""

import importlib
from typing import Any, Literal

from dataset_builders.extras import require

PROJECT = "repeat-after-me"
"""Name of the project in trackers."""


class Tracker:
    """Sends metrics to Trackio or Weights & Biases, which have the same interface; ``none`` sends nothing.

    Args:
        kind: kind of tracker.
        name: name of the run.
        settings: settings of the run.
    """

    def __init__(
        self, kind: Literal["none", "trackio", "wandb"], name: str, settings: dict[str, Any]
    ) -> None:
        self._module: Any = None if kind == "none" else importlib.import_module(kind)
        if self._module is not None:
            self._module.init(project=PROJECT, name=name, config=settings)

    def log(self, metrics: dict[str, float], step: int) -> None:
        """Send the metrics after a step."""
        if self._module is not None:
            self._module.log(metrics, step=step)

    def finish(self) -> None:
        """Wait until everything has been sent."""
        if self._module is not None:
            self._module.finish()


def check_tracker(kind: Literal["none", "trackio", "wandb"]) -> None:
    """Raise InputError if the tracker is not installed in a version that pyproject.toml allows."""
    if kind != "none":
        require(kind, f"tracker {kind}")  # each is the name of its extra
