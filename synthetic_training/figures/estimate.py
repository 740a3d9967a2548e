"""How long runs will take, estimated from committed results and speeds."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Literal

from dataset_builders.files import read_json
from synthetic_training.config import CHANGEABLE, TrainConfig
from synthetic_training.figures.cost import SPEED
from synthetic_training.figures.plan import Result, Run
from synthetic_training.figures.progress import tokens
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import hours_of
from synthetic_training.training.compilation import resolve_compile

RESULTS = Path(__file__).parent / "results"
"""Committed results of figures; an installed package does not contain them."""

_NOT_TIME = frozenset({*CHANGEABLE, "seed", "device", "precision"})


def expected_gpu_hours(runs: Sequence[Run]) -> tuple[float, int]:
    """The total GPU hours that runs will take.

    If a run with the same settings has been done, its hours are used; otherwise, the number of tokens divided
    by the tokens per second of the model, if these were measured at the model's own size.

    Returns:
        The hours, and the number of runs for which an estimate exists; runs for a CPU are not counted.
    """
    on_gpu = [run for run in runs if run.config.device != "cpu"]
    if not on_gpu:
        return 0.0, 0
    files = sorted(RESULTS.glob("*_paper.jsonl"))
    before = _hours([result for file in files for result in read_results(file)], "cuda")
    speeds = _speeds(read_json(SPEED)) if SPEED.is_file() else {}
    known = [hours for run in on_gpu if (hours := _hours_of_run(run, before, speeds)) is not None]
    return sum(known), len(known)


def expected_cpu_hours(runs: Sequence[Run]) -> tuple[float, int]:
    """The hours that runs with the same settings took on a CPU, together, and the number of such runs."""
    files = sorted(RESULTS.glob("*_small.jsonl"))
    before = _hours([result for file in files for result in read_results(file)], "cpu")
    settings = [_settings(run.config.as_json(), "cpu") for run in runs if run.config.device != "cuda"]
    known = [before[one] for one in settings if one in before]
    return sum(known), len(known)


def _hours_of_run(run: Run, before: Mapping[str, float], speeds: Mapping[str, float]) -> float | None:
    measured = before.get(_settings(run.config.as_json(), "cuda"))
    if measured is not None:
        return measured
    speed = None if run.config.model_args else speeds.get(run.config.model)
    return None if speed is None else tokens(run) / speed / 3600


def _hours(results: Iterable[Result], device: Literal["cpu", "cuda"]) -> dict[str, float]:
    """Hours of runs on one kind of device by settings, as means over seeds."""
    found: dict[str, list[float]] = {}
    for result in results:
        if result["config"]["device"] == device:
            found.setdefault(_settings(result["config"], device), []).append(hours_of(result))
    return {settings: fmean(hours) for settings, hours in found.items()}


def _settings(config: Mapping[str, Any], device: Literal["cpu", "cuda"]) -> str:
    """The settings on which the time of a run depends, as text."""
    default = TrainConfig().as_json()
    settings = {**default, **config}
    settings["compile"] = resolve_compile(settings["compile"], device, settings["steps"])
    return repr(
        sorted((k, repr(v)) for k, v in settings.items() if k not in _NOT_TIME and v != default.get(k))
    )


def _speeds(speed: Mapping[str, Any]) -> dict[str, float]:
    """Tokens per second of training by model, at the largest measured batch."""
    measured = [one for part in speed.get("runs", [speed]) for one in part["measured"]]
    return {
        one["model"]: one["tokens_per_s"]
        for one in sorted(measured, key=lambda one: one["batch_size"])
        if "tokens_per_s" in one
    }
