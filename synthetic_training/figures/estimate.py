"""How long runs will take, estimated from committed results and speeds."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, Literal

from dataset_builders.files import read_json, write_text
from synthetic_training.config import CHANGEABLE, DOCUMENTS, TrainConfig
from synthetic_training.figures.cost import SPEED
from synthetic_training.figures.plan import Result, Run
from synthetic_training.figures.progress import tokens
from synthetic_training.figures.results import read_results
from synthetic_training.models.presets import presets
from synthetic_training.training.compilation import resolve_compile
from synthetic_training.training.run_log import read_lines

RESULTS = Path(__file__).parent / "results"
"""Committed results of figures. Those that ``committed_results`` reads are part of an installed package."""

CUT = "cut_runs.jsonl"
"""File name of the records of runs that were cut off: the steps that they completed, and their seconds on one
GPU."""

SPEEDUP = {1: 1.0, 2: 1.6, 4: 2.4, 8: 3.2}
"""Assumed speed on several GPUs with the figures' small batches, relative to one GPU."""

ASSUMED = 100_000.0
"""Assumed tokens per second of a model of unknown speed: the speed of Mamba, the slowest measured model."""

_ARCHITECTURES = SPEED.with_name("architectures.json")
_WARM_UP = 40.0
"""Seconds of a run on a GPU for compiling and evaluations, if only its speed is known."""

_NOT_TIME = frozenset({*CHANGEABLE, "seed", "lr", "device", "precision"})

Basis = Literal["the same run", "its speed", "assumed"]
"""What an estimate is based on: a run with the same settings, the model's speed, or an assumed speed."""


@dataclass(frozen=True)
class Expected:
    """The expected time of a run on one GPU that it does not share.

    Attributes:
        seconds: seconds of training.
        basis: what the estimate is based on.
    """

    seconds: float
    basis: Basis


class Expectations:
    """Expected times of runs.

    Args:
        results: results of runs, including those of this machine so far; those that diverged are not used.
        cut: records of runs that were cut off.
    """

    def __init__(self, results: Iterable[Result], cut: Iterable[Mapping[str, Any]] = ()) -> None:
        # a run that diverged ended early, possibly before its speed was recorded
        known = [result for result in results if result.get("final_loss", 0.0) is not None]
        self._found: dict[str, Expected] = {}
        self._before = {device: _seconds(known, device) for device in ("cpu", "cuda")}
        self._cut = {one["run"]: one["seconds"] * one["steps"] / one["step"] for one in cut if one["step"]}
        exact: dict[str, list[float]] = {}
        rough: dict[str, list[float]] = {}
        for result in known:
            documents = result["config"]["task"] == DOCUMENTS  # models trained on documents are small
            alone = result.get("runs_per_gpu", 1) < 1.5 and result.get("gpus", 1) == 1
            if result["config"]["device"] == "cuda" and alone and not documents:
                exact.setdefault(_model(result["config"]), []).append(result["tokens_per_second"])
                rough.setdefault(result["config"]["model"], []).append(result["tokens_per_second"])
        self._exact = {model: median(speeds) for model, speeds in exact.items()}
        self._rough = {**_measured_speeds(), **{model: median(speeds) for model, speeds in rough.items()}}

    def of(self, run: Run) -> Expected:
        """The expected time of a run on a GPU."""
        if run.name not in self._found:
            self._found[run.name] = self._of(run)
        return self._found[run.name]

    def _of(self, run: Run) -> Expected:
        before = self._before["cuda"].get(_settings(run.config.as_json(), "cuda"))
        cut = self._cut.get(run.name)
        if before is not None or cut is not None:
            return Expected(max(before or 0.0, cut or 0.0), "the same run")
        speed = self._exact.get(_model(run.config.as_json()))
        if speed is None and "hidden_size" not in run.config.model_args:
            speed = self._rough.get(run.config.model)
        if speed is None:
            return Expected(tokens(run) / ASSUMED + _WARM_UP, "assumed")
        return Expected(tokens(run) / speed + _WARM_UP, "its speed")

    def on_cpu(self, run: Run) -> float | None:
        """The seconds that a run with the same settings took on a CPU."""
        return self._before["cpu"].get(_settings(run.config.as_json(), "cpu"))


def committed_results() -> list[Result]:
    """The results that are committed with this package."""
    files = [*RESULTS.glob("*_paper.jsonl"), *RESULTS.glob("*_small.jsonl"), *RESULTS.glob("mamba_*.jsonl")]
    return [result for file in sorted(set(files)) for result in read_results(file)]


def cut_runs(*folders: Path) -> list[dict[str, Any]]:
    """The records of runs that were cut off, in these folders."""
    files = [file for folder in folders if (file := folder / CUT).is_file()]
    return [record for file in files for record in read_lines(file)]


def add_cut_run(folder: Path, record: Mapping[str, Any]) -> None:
    """Add a record of a run that was cut off.

    Raises:
        InputError: the file of these records is damaged or cannot be written.
    """
    records = [*cut_runs(folder), record]
    write_text(folder / CUT, "".join(json.dumps(one) + "\n" for one in records))


def expected_gpu_hours(runs: Sequence[Run]) -> tuple[float, int]:
    """The total GPU hours that runs will take.

    If a run with the same settings has been done, its hours are used; otherwise, the number of tokens divided
    by the tokens per second of the model.

    Returns:
        The hours, and the number of runs for which an estimate exists; runs for a CPU are not counted.
    """
    on_gpu = [run for run in runs if run.config.device != "cpu"]
    if not on_gpu:
        return 0.0, 0
    expectations = Expectations(committed_results(), cut_runs(RESULTS))
    expected = [expectations.of(run) for run in on_gpu]
    known = [one for one in expected if one.basis != "assumed"]
    return sum(one.seconds for one in known) / 3600, len(known)


def expected_cpu_hours(runs: Sequence[Run]) -> tuple[float, int]:
    """The total hours that runs with the same settings took on a CPU, and the number of such runs."""
    expectations = Expectations(committed_results())
    on_cpu = [run for run in runs if run.config.device != "cuda"]
    known = [seconds for run in on_cpu if (seconds := expectations.on_cpu(run)) is not None]
    return sum(known) / 3600, len(known)


def _seconds(results: Iterable[Result], device: Literal["cpu", "cuda"]) -> dict[str, float]:
    """Mean seconds of runs on one kind of device, each on a GPU of its own, by settings."""
    found: dict[str, list[float]] = {}
    for result in results:
        if result["config"]["device"] == device:
            found.setdefault(_settings(result["config"], device), []).append(_alone(result))
    return {settings: fmean(seconds) for settings, seconds in found.items()}


def _alone(result: Result) -> float:
    """The seconds that a run would have taken on a GPU of its own."""
    gpus = result.get("gpus", 1)
    return float(result["seconds"] * SPEEDUP.get(gpus, gpus) / result.get("runs_per_gpu", 1))


def _settings(config: Mapping[str, Any], device: Literal["cpu", "cuda"]) -> str:
    """The settings on which the time of a run depends, as text."""
    default = TrainConfig().as_json()
    settings = {**default, **config, "model_args": _model_args(config)}
    settings["compile"] = resolve_compile(settings["compile"], device, settings["steps"])
    return repr(
        sorted((k, repr(v)) for k, v in settings.items() if k not in _NOT_TIME and v != default.get(k))
    )


def _model(config: Mapping[str, Any]) -> str:
    """The model and its sizes as text."""
    return json.dumps([config["model"], config.get("preset"), _model_args(config)], sort_keys=True)


def _model_args(config: Mapping[str, Any]) -> dict[str, Any]:
    """The model's arguments with those of the preset, which only runs that have begun contain."""
    preset = presets().get(config.get("preset") or "", {})
    return {**preset.get(config["model"], {}), **config["model_args"]}


def _measured_speeds() -> dict[str, float]:
    """Training tokens per second by model, at the largest batch of the committed speed benchmarks."""
    found: dict[str, float] = {}
    if SPEED.is_file():
        content = read_json(SPEED)
        measured = [one for part in content.get("runs", [content]) for one in part["measured"]]
        for one in sorted(measured, key=lambda one: one["batch_size"]):
            if "tokens_per_s" in one:
                found[one["model"]] = one["tokens_per_s"]
    if _ARCHITECTURES.is_file():
        rows = read_json(_ARCHITECTURES)["rows"]
        found |= {row["model"]: row["tokens_per_s"] for row in rows if "tokens_per_s" in row}
    return found
