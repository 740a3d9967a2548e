"""The runs of a figure: training runs, each in a folder named after its settings."""

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from synthetic_training.argument_types import parse_value
from synthetic_training.config import CHANGEABLE, DOCUMENTS, MQAR, TrainConfig
from synthetic_training.figures.figure_file import Scale, Test, Values
from synthetic_training.models.presets import preset_settings
from synthetic_training.settings import parse_settings, parse_values

Result = dict[str, Any]
"""The result of a run of a figure: its key and settings, its learning curve, and its scores in the tests."""

Key = tuple[str, str | None, int, str]
"""Key that identifies a run within a figure: label, panel, seed and sweep values."""

_MODEL_ARG = "model_args."
"""Prefix of swept arguments of the model."""


@dataclass(frozen=True)
class Run:
    """A training run.

    Attributes:
        label: label of the run in the figure's file.
        panel: panel of the plot, or None.
        seed: seed of the weights and the data.
        sweep: this run's values of the swept settings.
        config: all settings; ``auto`` values are kept as in the file.
    """

    label: str
    panel: str | None
    seed: int
    sweep: Values
    config: TrainConfig

    @cached_property
    def name(self) -> str:
        """Name of the run's folder, the same in all figures with this run.

        It is a hash of the settings that are not at their defaults, so that names do not change when the
        trainer gets a new setting. Settings that do not affect the training are left out.
        """
        default = TrainConfig().as_json()
        written = {k: v for k, v in self.config.as_json().items() if k not in CHANGEABLE and v != default[k]}
        canonical = json.dumps(written, sort_keys=True, separators=(",", ":"))
        return f"{self.label}-{hashlib.sha256(canonical.encode()).hexdigest()[:10]}"

    @cached_property
    def key(self) -> Key:
        return key_of({"label": self.label, "panel": self.panel, "seed": self.seed, "sweep": self.sweep})

    def __str__(self) -> str:
        parts = [self.label, *([self.panel] if self.panel else []), f"seed {self.seed}"]
        return ", ".join(parts + [f"{name} {short(value)}" for name, value in self.sweep.items()])


def short(value: Any) -> str:
    """A setting's value as text."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def key_of(result: Mapping[str, Any]) -> Key:
    """The key of the run that produced a result."""
    return result["label"], result["panel"], result["seed"], json.dumps(result["sweep"], sort_keys=True)


def plan(scale: Scale, source: str, models: Sequence[str] = (), seeds: Sequence[int] = ()) -> list[Run]:
    """All runs in the order of the file; the runs of the first seed, which make a whole figure, come first.

    Args:
        scale: scale of the figure.
        source: the figure's file, for error messages.
        models: labels of the runs to do; empty for all.
        seeds: seeds to use instead of those in the file, if not empty.

    Raises:
        InputError: a label is unknown, settings of a run or a test are invalid, or two runs are the same.
    """
    for label in models:
        if label not in scale.runs:
            known = ", ".join(scale.runs)
            raise InputError(
                f"{source} has no run {label!r}; its runs are {known}{did_you_mean(label, scale.runs)}"
            )
    labels = [label for label in scale.runs if label in models or not models]
    panels: dict[str | None, Values] = {None: {}}
    if scale.panels:
        panels = dict(scale.panels.items())
    grid = [dict(zip(scale.sweep, values, strict=True)) for values in itertools.product(*_values(scale))]
    runs: dict[str, Run] = {}
    for seed, panel, label, sweep in itertools.product(seeds or scale.seeds, panels, labels, grid):
        parts = (scale.settings, panels[panel], scale.runs[label], *_parts(sweep))
        run = _run(label, panel, seed, sweep, parts, scale.tests, source)
        if run.name in runs:
            raise InputError(f"{source}: ({run}) is the same run as ({runs[run.name]})")
        runs[run.name] = run
    return list(runs.values())


def _values(scale: Scale) -> list[list[Any]]:
    # YAML reads 1e-3, without a decimal point, as text
    return [[parse_value(v) if isinstance(v, str) else v for v in vs] for vs in scale.sweep.values()]


def _run(
    label: str,
    panel: str | None,
    seed: int,
    sweep: Values,
    parts: Sequence[Values],
    tests: Sequence[Test],
    source: str,
) -> Run:
    from synthetic_training.data.training_data import training_data  # imports torch, which plots do not need

    where = f"{source}: run {label}" + (f" in panel {panel}" if panel else "")
    settings: Values = {}
    model_args: Values = {}
    for part in parts:
        if "seed" in part:
            raise InputError(f"{where} has a seed; list all of them under seeds")
        settings |= part
        model_args |= _model_args(part, where)
    if isinstance(preset := settings.get("preset"), str):
        settings = {**preset_settings(preset), **settings}
    config = parse_settings(TrainConfig, {**settings, "model_args": model_args, "seed": seed}, where)
    try:
        training_data(config)  # only checked here; the process of the run creates it again
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    scored = set()
    for number, test in enumerate(tests, 1):
        _check_test(test, config, f"{where}: test {number}")
        for task, n, k, length, _ in scores_of(test, config):
            if (task, n, k, length) in scored:
                raise InputError(f"{where}: test {number} repeats another one at length {length}; remove one")
            scored.add((task, n, k, length))
    return Run(label, panel, seed, {name: _value(config, name) for name in sweep}, config)


def _check_test(test: Test, config: TrainConfig, where: str) -> None:
    """Raise InputError if the examples of a test cannot be drawn, before any run is trained."""
    from synthetic_training.evaluation.config import EvaluateConfig
    from synthetic_training.evaluation.strings import evaluated_tasks

    if config.task in (MQAR, DOCUMENTS):
        raise InputError(
            f"{where}: tests are of string tasks, and the run trains on {config.task}; remove the tests, and "
            "set the eval_lengths of the run"
        )
    try:
        evaluated_tasks(
            EvaluateConfig(Path(), lengths=test.lengths, task=test.task, n=test.n, k=test.k), config.as_json()
        )
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def scores_of(test: Test, config: TrainConfig) -> list[tuple[str, int, int | None, int, int]]:
    """Task, n, k, length and number of examples of each score of a test of a run."""
    task = test.task or config.task
    k = test.k or (config.k if task == config.task else None)
    return [(task, test.n or config.n, k, length, test.num_examples) for length in test.lengths]


def _parts(sweep: Values) -> tuple[Values, Values]:
    """A sweep's values as settings of the run and settings of the model."""
    model_args = {
        name.removeprefix(_MODEL_ARG): v for name, v in sweep.items() if name.startswith(_MODEL_ARG)
    }
    return {name: v for name, v in sweep.items() if not name.startswith(_MODEL_ARG)}, {
        "model_args": model_args
    }


def _value(config: TrainConfig, name: str) -> Any:
    if name.startswith(_MODEL_ARG):
        return config.model_args[name.removeprefix(_MODEL_ARG)]
    return getattr(config, name)


def _model_args(part: Values, where: str) -> Values:
    model_args = part.get("model_args", {})
    if not isinstance(model_args, dict):
        raise InputError(
            f"{where}: model_args must be a mapping, as in {{hidden_size: 64}}, not {model_args!r}"
        )
    return parse_values(model_args)
