"""Results summarised over seeds: the numbers of plots and tables."""

import re
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp, inf, isnan, log, nan, sqrt
from statistics import mean, median, stdev
from typing import Any, TypeVar

from dataset_builders import InputError
from synthetic_training.config import MQAR
from synthetic_training.figures.plan import Result, short

Group = TypeVar("Group", bound=Hashable)

ORDER = (
    "T_rope",
    "T_nope",
    "T_alibi",
    "T_hard_alibi",
    "T_hard_alibi_isolated",
    "transformer",
    "mamba",
    "mamba_authors",
    "hybrid",
    "gated_deltanet_window",
    "lstm",
    "mamba2",
    "gated_deltanet",
    "gla",
    "rwkv7",
    "griffin",
    "minimax",
)
"""Order in which models are shown; others follow by name."""


@dataclass(frozen=True)
class Band:
    """The mean over seeds at one position on the horizontal axis, with the lowest and the highest value."""

    x: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds (0 for a single one), and their number."""

    mean: float
    sd: float
    count: int


def grouped(results: Iterable[Result], key: Callable[[Result], Group]) -> dict[Group, list[Result]]:
    """Results by a key, in the order of models, then of sweep values, then of seeds."""
    groups: dict[Group, list[Result]] = {}
    for result in sorted(results, key=_place):
        groups.setdefault(key(result), []).append(result)
    return groups


def _place(result: Result) -> tuple[Any, ...]:
    known = result["label"] in ORDER
    rank = ORDER.index(result["label"]) if known else len(ORDER)
    values = [(isinstance(value, str), value) for value in result["sweep"].values()]
    # width_64 before width_128
    label = [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", result["label"])]
    return rank, label, values, result["seed"]


def check_alike(label: str, results: Iterable[Result], where: str = "") -> None:
    """Raise InputError if results of one label differ in more than their seeds; a mean would mix models.

    Args:
        label: label of the results.
        results: the results.
        where: which results they are, for the end of the message.
    """
    found = {", ".join(filter(None, (one["panel"], swept_text(one)))) or "none" for one in results}
    if len(found) > 1:
        raise InputError(
            f"{label} has results of several panels or swept values{where} ({'; '.join(sorted(found))}), "
            "which cannot be averaged; pass a file with one of them"
        )


def label_of(result: Result, *apart: str) -> str:
    """The model, and the values of the swept settings other than ``apart``."""
    return ", ".join(filter(None, [result["label"], swept_text(result, *apart)]))


def swept_text(result: Result, *apart: str) -> str:
    """The values of the swept settings other than ``apart``."""
    swept = [f"{name} = {short(value)}" for name, value in result["sweep"].items() if name not in apart]
    return ", ".join(swept)


def panels_of(results: Iterable[Result], order: Sequence[str]) -> list[str | None]:
    """The panels that have results, in this order, followed by panels that the file no longer contains."""
    found = {result["panel"] for result in results}
    return [one for one in order if one in found] + sorted(found - set(order), key=str)


def last_length(result: Result) -> int:
    """The last evaluated length of a run, at which its accuracy decides when it stops."""
    return int(result["curve"][-1]["length"])


def learning_curve(result: Result) -> list[Result]:
    """The evaluations of a run at ``last_length``."""
    return [point for point in result["curve"] if point["length"] == last_length(result)]


def mean_curve(results: Sequence[Result]) -> list[Band]:
    """String accuracy against training examples, over the seeds of one model.

    Args:
        results: results of runs that differ only in seeds. A run that stopped early keeps its last value.
    """
    curves = [learning_curve(result) for result in results]
    bands = []
    for step in sorted({point["step"] for curve in curves for point in curve}):
        at = [point for curve in curves for point in curve if point["step"] == step]
        # a curve starts at its first evaluation
        before = [[p for p in curve if p["step"] <= step] for curve in curves]
        values = [points[-1]["string_accuracy"] for points in before if points]
        bands.append(band(mean(point["examples"] for point in at), values))
    return bands


def band(x: float, values: Sequence[float]) -> Band:
    return Band(x, mean(values), min(values), max(values))


def spread(values: Sequence[float]) -> Spread:
    return Spread(mean(values), stdev(values) if len(values) > 1 else 0.0, len(values))


def examples_until(result: Result, accuracy: float) -> float | None:
    """Number of training examples until this string accuracy is reached; None if it never was.

    The number is interpolated linearly between the first evaluation that reached it and the previous one;
    without training, the accuracy is taken to be 0.
    """
    examples, found = 0, 0.0
    for point in learning_curve(result):
        if point["string_accuracy"] >= accuracy:
            part = (accuracy - found) / (point["string_accuracy"] - found)
            return examples + part * (point["examples"] - examples)
        examples, found = point["examples"], point["string_accuracy"]
    return None


def evaluation_grid(results: Iterable[Result]) -> float:
    """Median number of training examples between two evaluations."""
    counts = [[0, *(point["examples"] for point in learning_curve(result))] for result in results]
    return median(after - before for curve in counts for before, after in pairwise(curve))


def geometric_mean(values: Sequence[float]) -> tuple[float, float, float]:
    """The geometric mean of positive numbers, and its 95% confidence interval (Student's t on logarithms).

    For a single number, the interval is unknown (NaN).
    """
    from scipy.stats import t

    logs = [log(value) for value in values]
    center = mean(logs)
    if len(logs) == 1:
        return values[0], nan, nan
    half = float(t.ppf(0.975, len(logs) - 1)) * stdev(logs) / sqrt(len(logs))
    return exp(center), exp(center - half), exp(center + half)


def by_test(result: Result) -> dict[str, dict[int, float]]:
    """String accuracy by test name and length."""
    found: dict[str, dict[int, float]] = {}
    for score in result["tests"]:
        found.setdefault(test_name(score), {})[score["length"]] = score["string_accuracy"]
    return found


def test_name(score: Result) -> str:
    """The task and the length of its key, or only ``copy``; and the length of the answer, if it is set."""
    name = score["task"] if score["task"] == "copy" else f"{score['task']}, n = {score['n']}"
    return f"{name}, k = {score['k']}" if score.get("k") else name


def by_length(results: Sequence[Result], test: str) -> list[Band]:
    """String accuracy of one model in a test, by length."""
    scores = [by_test(result).get(test, {}) for result in results]
    lengths = sorted({length for one in scores for length in one})
    return [band(length, [one[length] for one in scores if length in one]) for length in lengths]


def by_key(results: Sequence[Result]) -> list[Band]:
    """String accuracy of one model in tests on one length, by the length of the key."""
    scores = [score for result in results for score in result["tests"] if score["task"] != "copy"]
    keys = sorted({score["n"] for score in scores})
    return [band(n, [score["string_accuracy"] for score in scores if score["n"] == n]) for n in keys]


def swept_values(results: Iterable[Result], name: str) -> list[float]:
    """The values of a swept setting; results without the setting are left out."""
    return sorted({result["sweep"][name] for result in results if name in result["sweep"]})


def by_swept(results: Sequence[Result], name: str, value: Callable[[Result], float]) -> list[Band]:
    """A number per run, by the value of a swept setting.

    A value is left out if a run has no number (NaN), because the mean of the others would be too good.
    """
    places = swept_values(results, name)
    found = [(x, [value(result) for result in results if result["sweep"].get(name) == x]) for x in places]
    return [band(x, values) for x, values in found if not any(map(isnan, values))]


def best_of(results: Iterable[Result], name: str) -> list[Result]:
    """Of runs that differ only in a swept setting and in seeds, the runs with the best value of the setting.

    The best value has the highest mean accuracy after training; of equally good values, the first is taken.
    Results without the setting are left out.
    """

    def others(result: Result) -> tuple[Any, ...]:
        rest = sorted((key, value) for key, value in result["sweep"].items() if key != name)
        return result["label"], result["panel"], *rest

    kept: list[Result] = []
    for own in grouped((one for one in results if name in one["sweep"]), others).values():
        values: dict[Any, list[Result]] = {}
        for result in own:
            values.setdefault(result["sweep"][name], []).append(result)
        kept += max(values.values(), key=lambda some: mean(map(final_accuracy, some)))
    return kept


def final_loss(result: Result) -> float:
    """The training loss at the end; NaN for a run that diverged."""
    return nan if result["final_loss"] is None else float(result["final_loss"])


def ranked_loss(result: Result) -> float:
    """``final_loss`` for comparisons: a run that diverged is worse than every other run."""
    loss = final_loss(result)
    return inf if isnan(loss) else loss


def final_accuracy(result: Result) -> float:
    """String accuracy after training, at ``last_length``."""
    return float(result["curve"][-1]["string_accuracy"])


def accuracy_name(results: Iterable[Result]) -> str:
    """Name of the accuracy: the fraction of correct strings, or of correct queries in ``mqar``."""
    return (
        "query accuracy" if all(one["config"].get("task") == MQAR for one in results) else "string accuracy"
    )


def lowest(bands: Sequence[Band]) -> Band:
    """The band with the lowest mean."""
    return min(bands, key=lambda one: one.mean)


def hours_of(result: Result) -> float:
    """Hours of a GPU, or of a CPU, that a run took; runs that shared a GPU also share its hours."""
    seconds: float = result["seconds"]
    return seconds * result.get("gpus", 1) / result.get("runs_per_gpu", 1) / 3600


def hours(results: Iterable[Result]) -> dict[str, tuple[float, int]]:
    """Hours of training and number of runs per machine; a run that occurs twice counts once."""
    took: dict[str, dict[str, float]] = {}
    for result in results:
        took.setdefault(result["machine"], {})[result["run"]] = hours_of(result)
    return {machine: (sum(runs.values()), len(runs)) for machine, runs in took.items()}
