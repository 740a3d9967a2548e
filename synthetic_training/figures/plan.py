"""The runs of a figure: each a training run of its own, in a folder named after what it trains."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from synthetic_training.arguments import parse_value
from synthetic_training.config import FREE, TrainConfig, as_json, check_run, checked
from synthetic_training.figures.figure_file import Scale, Settings

Key = tuple[str, str | None, int, str]
"""What a run of one figure is told from the others by: label, panel, seed and sweep values."""

_SIZE = "model_args."
"""Stands before what is swept of the model's own arguments."""


@dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
        label: of the run in the figure's file.
        panel: of the plot, or None.
        seed: of the weights and the data.
        sweep: the settings that are swept, with this run's values.
        config: all settings, as they are written: with ``auto`` where that is what they say.
    """

    label: str
    panel: str | None
    seed: int
    sweep: Settings
    config: TrainConfig

    @property
    def name(self) -> str:
        """Of the run's folder: the same for all figures that train the same.

        It is a hash of the settings that are not at their defaults. A setting that is added to the trainer
        later thus changes no name, nor does one that changes nothing of what is learned.
        """
        default = as_json(TrainConfig())
        written = {k: v for k, v in as_json(self.config).items() if k not in FREE and v != default[k]}
        canonical = json.dumps(written, sort_keys=True, separators=(",", ":"))
        return f"{self.label}-{hashlib.sha256(canonical.encode()).hexdigest()[:10]}"

    @property
    def key(self) -> Key:
        return key_of({"label": self.label, "panel": self.panel, "seed": self.seed, "sweep": self.sweep})

    def __str__(self) -> str:
        parts = [self.label, *([self.panel] if self.panel else []), f"seed {self.seed}"]
        return ", ".join(parts + [f"{name} {short(value)}" for name, value in self.sweep.items()])


def short(value: Any) -> str:
    """A setting's value as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def key_of(line: Mapping[str, Any]) -> Key:
    """The key of a line of results."""
    return line["label"], line["panel"], line["seed"], json.dumps(line["sweep"], sort_keys=True)


def plan(scale: Scale, source: str, models: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """All runs, in the order of the file, a whole figure of the first seed first.

    Args:
        scale: of the figure.
        source: what to call it in an error.
        models: labels of the runs that are wanted; none for all.
        seeds: in place of the file's.

    Raises:
        InputError: a label is unknown, a run's settings cannot be run, or two runs are the same.
    """
    for label in models:
        if label not in scale.runs:
            known = ", ".join(scale.runs)
            raise InputError(
                f"{source} has the runs {known}; {label!r} is none{did_you_mean(label, scale.runs)}"
            )
    labels = [label for label in scale.runs if label in models or not models]
    panels: dict[str | None, Settings] = {None: {}}
    if scale.panels:
        panels = dict(scale.panels.items())
    grid = [dict(zip(scale.sweep, values, strict=True)) for values in itertools.product(*_values(scale))]
    runs: dict[str, Run] = {}
    for seed, panel, label, sweep in itertools.product(seeds or scale.seeds, panels, labels, grid):
        parts = (scale.settings, panels[panel], scale.runs[label], *_parts(sweep))
        run = _run(label, panel, seed, sweep, parts, source)
        if run.name in runs:
            raise InputError(f"{source}: ({run}) is the same run as ({runs[run.name]})")
        runs[run.name] = run
    return list(runs.values())


def _values(scale: Scale) -> list[list[Any]]:
    # YAML takes 1e-3, without a point, for text
    return [[parse_value(v) if isinstance(v, str) else v for v in vs] for vs in scale.sweep.values()]


def _run(
    label: str, panel: str | None, seed: int, sweep: Settings, parts: Sequence[Settings], source: str
) -> Run:
    where = f"{source}: run {label}" + (f" in panel {panel}" if panel else "")
    settings: Settings = {}
    sizes: Settings = {}
    for part in parts:
        if "seed" in part:
            raise InputError(f"{where} has a seed; name all under seeds")
        settings |= part
        sizes |= _sizes(part)
    config = checked({**settings, "model_args": sizes, "seed": seed}, where)
    try:
        check_run(config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    return Run(label, panel, seed, {name: _value(config, name) for name in sweep}, config)


def _parts(sweep: Settings) -> tuple[Settings, Settings]:
    """A sweep's values as settings: those of the run, and those of its model."""
    sizes = {name.removeprefix(_SIZE): v for name, v in sweep.items() if name.startswith(_SIZE)}
    return {name: v for name, v in sweep.items() if not name.startswith(_SIZE)}, {"model_args": sizes}


def _value(config: TrainConfig, name: str) -> Any:
    return config.model_args[name.removeprefix(_SIZE)] if name.startswith(_SIZE) else getattr(config, name)


def _sizes(part: Settings) -> Settings:
    sizes = part.get("model_args", {})
    if not isinstance(sizes, dict):
        return {"model_args": sizes}  # refused with the other unknown arguments
    return {key: parse_value(value) if isinstance(value, str) else value for key, value in sizes.items()}
