"""``plot``: accuracy against training examples and against length, from the files of runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataset_builders import InputError
from dataset_builders.checks import first_problem
from dataset_builders.files import read_json
from dataset_builders.intervals import bounded_interval
from dataset_builders.plotting import log_scale, plot_style, save_plot
from synthetic_training.config import MQAR
from synthetic_training.evaluation.saved_model import training_settings
from synthetic_training.training.run_folder import METRICS
from synthetic_training.training.run_log import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """String accuracy at one length.

    Attributes:
        run: name of the run in the plot.
        length: length of the strings in letters, or number of pairs.
        unit: the unit of the length.
        examples: number of examples trained on so far; None if unknown.
        accuracy: mean accuracy, from 0 to 1.
        ends: ends of the 95% interval of the mean.
        last: whether the point was evaluated at the end of the run.
    """

    run: str
    length: int
    unit: str
    examples: int | None
    accuracy: float
    ends: tuple[float, float]
    last: bool


def plot(sources: Sequence[Path], out: Path) -> list[Path]:
    """Plot the accuracies in the sources, as PNG and SVG.

    Args:
        sources: folders of runs, and files written by ``evaluate``. Each source is one curve in
            ``accuracy_by_length``, and each evaluated length of a run is one curve in
            ``accuracy_by_examples``.
        out: folder for the plots.

    Returns:
        The files that were written.

    Raises:
        InputError: a source is neither a run nor an evaluation, is damaged or contains no evaluation, or the
            folder cannot be written.
    """
    if not sources:
        raise InputError("pass at least one folder of a run, or file written by evaluate, to plot")
    names = _names(sources)
    points = [p for source, name in zip(sources, names, strict=True) for p in read_points(source, name)]
    with plot_style():
        figures = {"accuracy_by_length": _by_length([p for p in points if p.last])}
        trained = [p for p in points if p.examples is not None]
        if trained:
            figures["accuracy_by_examples"] = _by_examples(trained)
        return [path for name, figure in figures.items() for path in save_plot(figure, out, name)]


class _Score(BaseModel):
    """The part of a score that is plotted."""

    model_config = ConfigDict(strict=True)

    length: Annotated[int, Field(ge=1, le=2**31)]
    num_examples: Annotated[int, Field(ge=1, le=2**62)]
    string_accuracy: Annotated[float, Field(ge=0, le=1)]
    string_accuracy_stderr: Annotated[float, Field(ge=0, le=1)]


class _Record(_Score):
    """A score in the metrics of a run."""

    step: Annotated[int, Field(ge=0, le=2**62)]
    examples: Annotated[int, Field(ge=0, le=2**62)]


class _Evaluation(BaseModel):
    """A file written by ``evaluate``."""

    results: list[_Score]
    config: dict[str, Any] = {}


def read_points(source: Path, name: str) -> list[Point]:
    """The accuracies of a run or a file of ``evaluate``, under a name.

    Raises:
        InputError: the source is neither a run nor an evaluation, is damaged or contains no evaluation.
    """
    if source.is_dir() and not (source / METRICS).exists():
        raise InputError(
            f"{source} is neither a folder of a run nor a file written by evaluate: it has no {METRICS}"
        )
    try:
        points = _run_points(source, name) if source.is_dir() else _evaluation_points(source, name)
    except ValidationError as error:
        raise InputError(
            f"{source} is neither a folder of a run nor a file written by evaluate: {first_problem(error)}"
        ) from None
    if not points:
        raise InputError(f"{source} has no evaluation to plot yet")
    return points


def _run_points(folder: Path, name: str) -> list[Point]:
    lines = read_metrics(folder / METRICS)
    records = [_Record.model_validate(line) for line in lines if line["kind"] == "eval"]
    end = max((record.step for record in records), default=0)
    unit = _unit(training_settings(folder) or {})
    return [_point(record, name, unit, record.examples, record.step == end) for record in records]


def _evaluation_points(file: Path, name: str) -> list[Point]:
    content = _Evaluation.model_validate(read_json(file))
    return [_point(result, name, _unit(content.config), None, True) for result in content.results]


def _unit(settings: Mapping[str, Any]) -> str:
    return "pairs" if settings.get("task") == MQAR else "letters"


def _point(score: _Score, name: str, unit: str, examples: int | None, last: bool) -> Point:
    accuracy, error = score.string_accuracy, score.string_accuracy_stderr
    ends = bounded_interval(accuracy, error, score.num_examples) or (accuracy, accuracy)
    return Point(name, score.length, unit, examples, accuracy, ends, last)


def _names(sources: Sequence[Path]) -> list[str]:
    """The file name of each path, or the whole paths if two file names are the same."""
    short = [source.stem if source.is_file() else source.resolve().name for source in sources]
    return short if len(set(short)) == len(short) else [str(source) for source in sources]


def _by_length(points: Sequence[Point]) -> "Figure":
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    figure, axes = _axes(f"length ({' or '.join(dict.fromkeys(p.unit for p in points))})", points)
    for run in dict.fromkeys(p.run for p in points):
        curve = sorted((p for p in points if p.run == run), key=lambda p: p.length)
        _draw_curve(axes, [p.length for p in curve], curve, run)
    lengths = sorted({p.length for p in points})
    _set_scale(axes, lengths)
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.legend()
    return figure


def _by_examples(points: Sequence[Point]) -> "Figure":
    figure, axes = _axes("training examples", points)
    for run, length, unit in dict.fromkeys((p.run, p.length, p.unit) for p in points):
        curve = [p for p in points if (p.run, p.length) == (run, length)]
        _draw_curve(axes, [p.examples or 0 for p in curve], curve, f"{run}, {length} {unit}")
    _set_scale(axes, [p.examples for p in points if p.examples])
    axes.legend()
    return figure


def _axes(label: str, points: Sequence[Point]) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(label)
    accuracy = "string accuracy" if all(point.unit == "letters" for point in points) else "accuracy"
    axes.set_ylabel(f"{accuracy} (bars: 95% intervals)")
    axes.set_ylim(-0.03, 1.03)
    return figure, axes


def _draw_curve(axes: "Axes", x: Sequence[int], points: Sequence[Point], label: str) -> None:
    y = [point.accuracy for point in points]
    axes.errorbar(x, y, yerr=error_bars(points), marker="o", capsize=3, label=label)


def error_bars(points: Iterable[Point]) -> tuple[list[float], list[float]]:
    """Distances of the ends of the 95% intervals below and above the points, for ``Axes.errorbar``."""
    pairs = [(point.accuracy - point.ends[0], point.ends[1] - point.accuracy) for point in points]
    return [max(0.0, below) for below, _ in pairs], [max(0.0, above) for _, above in pairs]


def _set_scale(axes: "Axes", values: Sequence[int]) -> None:
    if values and max(values) > 8 * min(values):
        log_scale(axes, "x")
