"""What lines of results say, seeds taken together: numbers alone, for plots and tables."""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan, nan
from statistics import mean, stdev
from typing import Any, TypeVar

from synthetic_training.figures.plan import short
from synthetic_training.training.run_log import Line

Group = TypeVar("Group", bound=Hashable)

ORDER = (
    "T_rope",
    "T_nope",
    "T_alibi",
    "T_hard_alibi",
    "T_hard_alibi_isolated",
    "mamba",
    "lstm",
    "mamba2",
    "griffin",
    "minimax",
)
"""In which models are shown; others follow by name."""


@dataclass(frozen=True)
class Band:
    """A mean over seeds at one place, and the lowest and highest of them."""

    x: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation (0 of a single value) over seeds, and their number."""

    mean: float
    sd: float
    count: int


def grouped(lines: Iterable[Line], key: Callable[[Line], Group]) -> dict[Group, list[Line]]:
    """Lines by a key: in the order of models, then of sweep values, then of seeds."""
    groups: dict[Group, list[Line]] = {}
    for line in sorted(lines, key=_place):
        groups.setdefault(key(line), []).append(line)
    return groups


def _place(line: Line) -> tuple[Any, ...]:
    known = line["label"] in ORDER
    rank = ORDER.index(line["label"]) if known else len(ORDER)
    values = [(isinstance(value, str), value) for value in line["sweep"].values()]
    # width_64 before width_128
    label = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", line["label"])]
    return rank, label, values, line["seed"]


def label_of(line: Line) -> str:
    """The model, and the values of what was swept."""
    swept = [f"{name} = {short(value)}" for name, value in line["sweep"].items()]
    return ", ".join([line["label"], *swept])


def panels_of(lines: Iterable[Line], order: Sequence[str]) -> list[str | None]:
    """The panels that there are results of, in this order; others, of an earlier file, behind."""
    found = {line["panel"] for line in lines}
    return [one for one in order if one in found] + sorted(found - set(order), key=str)


def last_length(line: Line) -> int:
    """The length that a run was evaluated at last, which decides when it stops."""
    return int(line["curve"][-1]["length"])


def learning_curve(line: Line) -> list[Line]:
    """The evaluations of a run at ``last_length``."""
    return [point for point in line["curve"] if point["length"] == last_length(line)]


def mean_curve(lines: Sequence[Line]) -> list[Band]:
    """String accuracy against training examples, over the seeds of one model.

    Args:
        lines: of runs that differ in their seeds alone. One that stopped early stays at its last value.
    """
    curves = [learning_curve(line) for line in lines]
    bands = []
    for step in sorted({point["step"] for curve in curves for point in curve}):
        at = [point for curve in curves for point in curve if point["step"] == step]
        # a curve begins at its first evaluation
        before = [[p for p in curve if p["step"] <= step] for curve in curves]
        values = [points[-1]["string_accuracy"] for points in before if points]
        bands.append(band(mean(point["examples"] for point in at), values))
    return bands


def band(x: float, values: Sequence[float]) -> Band:
    return Band(x, mean(values), min(values), max(values))


def spread(values: Sequence[float]) -> Spread:
    return Spread(mean(values), stdev(values) if len(values) > 1 else 0.0, len(values))


def examples_until(line: Line, accuracy: float) -> int | None:
    """Training examples at the first evaluation with so much string accuracy; None where it never had it."""
    reached = (p["examples"] for p in learning_curve(line) if p["string_accuracy"] >= accuracy)
    return next(reached, None)


def by_test(line: Line) -> dict[str, dict[int, float]]:
    """String accuracy by length, of each test by its name."""
    found: dict[str, dict[int, float]] = {}
    for score in line["tests"]:
        found.setdefault(test_name(score), {})[score["length"]] = score["string_accuracy"]
    return found


def test_name(score: Line) -> str:
    """``copy``, or the task and the length of its key."""
    return score["task"] if score["task"] == "copy" else f"{score['task']}, n = {score['n']}"


def by_length(lines: Sequence[Line], test: str) -> list[Band]:
    """Accuracy in a test against length, over the seeds of one model."""
    scores = [by_test(line).get(test, {}) for line in lines]
    lengths = sorted({length for one in scores for length in one})
    return [band(length, [one[length] for one in scores if length in one]) for length in lengths]


def by_key(lines: Sequence[Line]) -> list[Band]:
    """Accuracy in tests on one length against the letters of their key, over the seeds of one model."""
    scores = [score for line in lines for score in line["tests"] if score["task"] != "copy"]
    keys = sorted({score["n"] for score in scores})
    return [band(n, [score["string_accuracy"] for score in scores if score["n"] == n]) for n in keys]


def swept_values(lines: Iterable[Line], name: str) -> list[float]:
    """The values of a setting that was swept; lines of an earlier file may not have it."""
    return sorted({line["sweep"][name] for line in lines if name in line["sweep"]})


def by_swept(lines: Sequence[Line], name: str, value: Callable[[Line], float]) -> list[Band]:
    """A number of each run against a setting that was swept, over seeds; runs without the number left out."""
    places = swept_values(lines, name)
    found = [(x, [value(line) for line in lines if line["sweep"].get(name) == x]) for x in places]
    kept = [(x, [v for v in values if not isnan(v)]) for x, values in found]
    return [band(x, values) for x, values in kept if values]


def final_loss(line: Line) -> float:
    return nan if line["final_loss"] is None else float(line["final_loss"])


def final_accuracy(line: Line) -> float:
    """String accuracy at the end of training, at ``last_length``."""
    return float(line["curve"][-1]["string_accuracy"])


def lowest(bands: Sequence[Band]) -> Band:
    """Where the mean is lowest."""
    return min(bands, key=lambda one: one.mean)


def hours_of(line: Line) -> float:
    """What a run took, and its part alone where runs shared a GPU."""
    seconds: float = line["seconds"]
    return seconds / line.get("runs_per_gpu", 1) / 3600


def hours(lines: Iterable[Line]) -> dict[str, tuple[float, int]]:
    """Hours of training and number of runs on each machine; a run that stands there twice counts once."""
    took: dict[str, dict[str, float]] = {}
    for line in lines:
        took.setdefault(line["machine"], {})[line["run"]] = hours_of(line)
    return {machine: (sum(runs.values()), len(runs)) for machine, runs in took.items()}
