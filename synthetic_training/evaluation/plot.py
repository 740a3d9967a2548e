"""``plot``: accuracy against training examples, and against length, from the files of runs alone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset_builders import InputError
from dataset_builders.files import read_json
from synthetic_training.training.run_log import METRICS, read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Point:
    """String accuracy at one length.

    Attributes:
        run: what to call the run.
        length: letters of the strings.
        examples: examples trained on until then; None where that is not known.
        accuracy: a mean from 0 to 1.
        stderr: its standard error.
        last: whether it is of the end of the run.
    """

    run: str
    length: int
    examples: int | None
    accuracy: float
    stderr: float
    last: bool


def plot(sources: Sequence[Path], out: Path) -> list[Path]:
    """Draw what the sources hold, as PNG and SVG.

    Args:
        sources: folders of runs, and files that ``evaluate`` wrote. A run's folder gives a line of each of
            its lengths in ``accuracy_by_examples``; every source gives one in ``accuracy_by_length``.
        out: folder for the plots.

    Returns:
        The files.

    Raises:
        InputError: a source is neither, is damaged or has no evaluation, or the folder cannot be written.
    """
    if not sources:
        raise InputError("name at least one folder of a run or file of evaluate to plot")
    names = _names(sources)
    points = [p for source, name in zip(sources, names, strict=True) for p in read_points(source, name)]
    figures = {"accuracy_by_length": _by_length([p for p in points if p.last])}
    trained = [p for p in points if p.examples is not None]
    if trained:
        figures["accuracy_by_examples"] = _by_examples(trained)
    try:
        out.mkdir(parents=True, exist_ok=True)
        return [save(f, out / f"{name}.{kind}") for name, f in figures.items() for kind in ("png", "svg")]
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None


def read_points(source: Path, name: str) -> list[Point]:
    """What a run or a file of ``evaluate`` says, under the name of ``name``.

    Raises:
        InputError: it is neither, is damaged or has no evaluation.
    """
    try:
        points = _run_points(source, name) if source.is_dir() else _evaluation_points(source, name)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{source} is neither a folder of a run nor a file of evaluate") from None
    if not points:
        raise InputError(f"{source} has no evaluation to plot yet")
    return points


def _run_points(folder: Path, name: str) -> list[Point]:
    lines = [line for line in read_metrics(folder / METRICS) if line["kind"] == "eval"]
    end = max((line["step"] for line in lines), default=0)
    return [_point(line, name, int(line["examples"]), line["step"] == end) for line in lines]


def _evaluation_points(file: Path, name: str) -> list[Point]:
    return [_point(result, name, None, True) for result in read_json(file)["results"]]


def _point(score: dict[str, Any], name: str, examples: int | None, last: bool) -> Point:
    accuracy, stderr = float(score["string_accuracy"]), float(score["string_accuracy_stderr"])
    return Point(name, int(score["length"]), examples, accuracy, stderr, last)


def _names(sources: Sequence[Path]) -> list[str]:
    """The last part of each path; the whole paths where two of those are the same."""
    short = [source.stem if source.is_file() else source.resolve().name for source in sources]
    return short if len(set(short)) == len(short) else [str(source) for source in sources]


def _by_length(points: Sequence[Point]) -> "Figure":
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    figure, axes = _axes("length (letters)")
    for run in dict.fromkeys(p.run for p in points):
        line = sorted((p for p in points if p.run == run), key=lambda p: p.length)
        _line(axes, [p.length for p in line], line, run)
    lengths = sorted({p.length for p in points})
    _scale(axes, lengths)
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.legend()
    return figure


def _by_examples(points: Sequence[Point]) -> "Figure":
    figure, axes = _axes("training examples")
    for run, length in dict.fromkeys((p.run, p.length) for p in points):
        line = [p for p in points if (p.run, p.length) == (run, length)]
        _line(axes, [p.examples or 0 for p in line], line, f"{run}, length {length}")
    _scale(axes, [p.examples for p in points if p.examples])
    axes.legend()
    return figure


def _axes(label: str) -> "tuple[Figure, Axes]":
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "repeat-after-me"  # the same points give the same file
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(label)
    axes.set_ylabel("string accuracy")
    axes.set_ylim(-0.03, 1.03)
    axes.grid(alpha=0.3)
    return figure, axes


def _line(axes: "Axes", x: Sequence[int], points: Iterable[Point], label: str) -> None:
    y, errors = zip(*((p.accuracy, p.stderr) for p in points), strict=True)
    axes.errorbar(x, y, yerr=errors, marker="o", capsize=3, label=label)


def _scale(axes: "Axes", values: Sequence[int]) -> None:
    if values and max(values) > 8 * min(values):
        axes.set_xscale("log")


def save(figure: "Figure", file: Path) -> Path:
    """Write a figure at once, in the format of the file's ending; the same figure gives the same SVG."""
    partial = file.with_name(f".{file.name}.partial")
    kind = file.suffix.removeprefix(".")
    figure.savefig(partial, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    return partial.replace(file)
