"""Plots of one benchmark: the main metric by length, and by training step."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from dataset_builders.plotting import ARCHITECTURES, log_scale, plot_style, save_plot, short_bytes
from lm_eval_tasks.results.cost_points import Taken, apart, name_lengths, set_limits, span
from lm_eval_tasks.results.intervals import method, score_interval
from lm_eval_tasks.results.learning_curve import LearningCurve
from lm_eval_tasks.results.row_styles import assign
from lm_eval_tasks.results.rows import row_labels
from lm_eval_tasks.results.score import Score, is_proportion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#333333")  # Okabe and Ito
_MARKERS = "osD^vPX*"
_LEGEND_WIDTH = 34  # characters per line
_TICK_ROOM = 0.07  # minimum distance between two labelled ticks, as a fraction of the axis


@dataclass(frozen=True)
class RowStyle:
    """The style of one row in every plot of a report."""

    colour: str
    marker: str


@dataclass(frozen=True)
class Bars:
    """The meaning of a plot's bars.

    Attributes:
        ends: function that takes a score and a metric and returns the ends of the bar, or None.
        note: function that takes a metric and describes the bars in a few words.
    """

    ends: Callable[[Score, str], tuple[float, float] | None]
    note: Callable[[str], str]


INTERVALS = Bars(score_interval, lambda metric: f"95% intervals ({method(metric)})")


def styles(labels: Sequence[str]) -> dict[str, RowStyle]:
    """A style for each row, see :func:`lm_eval_tasks.results.row_styles.assign`."""
    pairs = assign(labels, _COLOURS, _MARKERS, ARCHITECTURES)
    return {label: RowStyle(*pair) for label, pair in pairs.items()}


def draw(
    benchmark: str,
    scores: Sequence[Score],
    style_of: Mapping[str, RowStyle],
    folder: Path,
    *,
    name: str | None = None,
    bars: Bars = INTERVALS,
) -> list[Path]:
    """Draw the main metric by length as ``BENCHMARK.png`` and ``.svg``; return the files.

    Hollow points have truncated documents. Points with fewer documents than others are labelled with their
    number. Lines are shifted slightly, so that equal scores do not hide each other.

    Args:
        benchmark: name of a known benchmark, because files are named after it.
        scores: the scores.
        style_of: styles by label, the same for every plot of a report, in the order of the legend.
        folder: folder for the plots.
        name: name of the files (default: the benchmark's).
        bars: meaning of the bars.

    Returns:
        The files; none if no score has a main metric.

    Raises:
        InputError: a file cannot be written.
    """
    shown = [score for score in scores if score.main_value is not None]
    if not shown:
        return []
    with quiet_style():
        figure, axes = _figure(len(row_labels(shown)))
        lengths = sorted({score.length for score in shown})
        place = _Scale(lengths)
        rows = [label for label in style_of if label in row_labels(shown)]
        most = max(score.documents for score in shown)
        for number, label in enumerate(rows):
            points = [score for score in shown if score.label == label]
            x = [place(score.length) + _aside(number, len(rows)) for score in points]
            draw_line(axes, x, points, style_of[label], label, most, bars)
        _ticks(axes, [(place(length), str(length)) for length in lengths])
        metric = shown[0].main_metric or ""
        axes.set_xlabel(f"length ({shown[0].unit}{place.note})")
        finish(axes, metric, shown, benchmark, bars)
        return save_plot(figure, folder, name or benchmark)


def draw_learning_curves(
    benchmark: str, learning_curves: Sequence[LearningCurve], folder: Path
) -> list[Path]:
    """Draw the main metric by training step, with one panel per training run and one line per length.

    Returns:
        ``BENCHMARK_by_step.png`` and ``.svg``; no files without learning curves.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib import colormaps
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure

    if not learning_curves:
        return []
    with quiet_style():
        figure = Figure(figsize=(6.4, 0.4 + 3.2 * len(learning_curves)), layout="constrained")
        panels = figure.subplots(len(learning_curves), 1, squeeze=False)[:, 0]
        for axes, curve in zip(panels, learning_curves, strict=True):
            place = _Scale(list(curve.steps))
            all_scores = [score for by_length in curve.steps.values() for score in by_length.values()]
            most = max(score.documents for score in all_scores)
            for number, length in enumerate(curve.lengths):
                aside = _aside(number, len(curve.lengths))
                points = [
                    (place(step) + aside, by_length[length])
                    for step, by_length in curve.steps.items()
                    if length in by_length and by_length[length].main_value is not None
                ]
                if points:
                    colour = to_hex(colormaps["viridis"](0.85 * number / max(1, len(curve.lengths) - 1)))
                    style = RowStyle(colour, _MARKERS[number % len(_MARKERS)])
                    x, scores = [at for at, _ in points], [score for _, score in points]
                    draw_line(axes, x, scores, style, f"{length} {scores[0].unit}", most)
            thousands = all(step % 1000 == 0 for step in curve.steps)
            texts = {step: f"{step // 1000}k" if thousands and step else str(step) for step in curve.steps}
            _ticks(axes, [(place(step), text) for step, text in texts.items()])
            axes.set_xlabel(f"training step{place.note}")
            finish(axes, all_scores[0].main_metric or "", all_scores, f"{benchmark}: {curve.name}")
        return save_plot(figure, folder, f"{benchmark}_by_step")


def draw_by_state(
    benchmark: str, scores: Sequence[Score], style_of: Mapping[str, RowStyle], folder: Path
) -> list[Path]:
    """Draw the main metric by bytes of state, with one line per model and one point per length.

    Returns:
        ``BENCHMARK_by_state.png`` and ``.svg``; no files if no state is known.

    Raises:
        InputError: a file cannot be written.
    """
    shown = [score for score in scores if score.main_value is not None and score.state_bytes is not None]
    if not shown:
        return []
    with quiet_style():
        rows = row_labels(shown)
        figure, axes = _figure(len(rows))
        most = max(score.documents for score in shown)
        sizes = [float(score.state_bytes or 0) for score in shown]
        taken: list[Taken] = []
        for label in rows:
            points = [score for score in shown if score.label == label]
            x = apart([float(score.state_bytes or 0) for score in points], span(sizes))
            draw_line(axes, x, points, style_of[label], label, most)
            name_lengths(axes, points, x, span(sizes), taken, style_of[label].colour)
        log_scale(axes, "x", text=short_bytes)
        equal = len({(score.label, score.state_bytes) for score in shown}) < len(shown)
        note = "; equal sizes are drawn slightly apart" if equal else ""
        axes.set_xlabel(f"state before the query (logarithmic{note})")
        finish(axes, shown[0].main_metric or "", shown, f"{benchmark}; beside the points: {shown[0].unit}")
        set_limits(axes, sizes, short_bytes)
        return save_plot(figure, folder, f"{benchmark}_by_state")


class _Scale:
    """Maps numbers to positions on an axis from 0 to 1, logarithmically if they are far apart."""

    def __init__(self, numbers: Sequence[int]) -> None:
        import numpy as np

        least, most = min(numbers), max(numbers)
        is_log = 0 < 8 * least < most
        self.note = ", logarithmic" if is_log else ""
        self._of = np.log if is_log else float
        self._least, self._most = float(self._of(least)), float(self._of(most))

    def __call__(self, number: int) -> float:
        if self._least == self._most:
            return 0.5
        return float((self._of(number) - self._least) / (self._most - self._least))


def _aside(number: int, lines: int) -> float:
    """How far a line is shifted, so that equal scores do not hide each other."""
    return (number - (lines - 1) / 2) * min(0.012, 0.05 / lines)


def _figure(rows: int) -> "tuple[Figure, Axes]":
    """A figure with the width at which a README shows it, and the height that its legend needs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, max(3.6, 0.6 + 0.22 * rows)), layout="constrained")
    return figure, figure.add_subplot()


def draw_line(
    axes: "Axes",
    x: Sequence[float],
    points: Sequence[Score],
    style: RowStyle,
    label: str,
    most: int,
    bars: Bars = INTERVALS,
) -> None:
    """Draw the scores of one row at the positions ``x``; see :func:`draw` for how points are marked."""
    y = [score.main_value or 0.0 for score in points]
    ends = [
        bars.ends(score, score.main_metric or "") or (at, at) for score, at in zip(points, y, strict=True)
    ]
    below = [max(0.0, at - low) for at, (low, _) in zip(y, ends, strict=True)]
    above = [max(0.0, high - at) for at, (_, high) in zip(y, ends, strict=True)]
    axes.errorbar(
        x, y, yerr=(below, above), color=style.colour, marker=style.marker, capsize=2.5, elinewidth=0.9,
        label=legend_text(label),
    )  # fmt: skip
    for at, value, score in zip(x, y, points, strict=True):
        if score.truncated:
            axes.plot([at], [value], style.marker, color="white", mec=style.colour, zorder=3)
        if score.documents < most:
            axes.annotate(
                f"n={score.documents}", (at, value), (4, 4), textcoords="offset points", fontsize=7,
                color=style.colour,
            )  # fmt: skip


def legend_text(label: str) -> str:
    """A row's label as the legend shows it."""
    text = "\n".join(wrap(label, _LEGEND_WIDTH)) or label
    return f"\u2009{text}" if text.startswith("_") else text  # matplotlib leaves out labels with _ in front


def _ticks(axes: "Axes", places: Sequence[tuple[float, str]]) -> None:
    """Set a tick at every position, with a label unless it would overlap with the previous label."""
    axes.set_xlim(-0.06, 1.06)
    axes.set_xticks([at for at, _ in places])
    texts, free = [], -1.0
    for at, text in places:
        room = _TICK_ROOM / 4 * (len(text) + 1)
        texts.append(text if at - room / 2 >= free else "")
        if texts[-1]:
            free = at + room / 2
    axes.set_xticklabels(texts)


def finish(axes: "Axes", metric: str, scores: Sequence[Score], title: str, bars: Bars = INTERVALS) -> None:
    """Give the axes of one benchmark's main metric their title, label and legend."""
    notes = [f"bars: {bars.note(metric)}"]
    if any(score.truncated for score in scores):
        notes.append("hollow: truncated by the window")
    if is_proportion(metric):
        axes.set_ylim(-0.04, 1.04)
    axes.set_ylabel(metric.replace("_", " "))
    axes.set_title(f"{title}\n{'; '.join(notes)}", loc="left")
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)


@contextmanager
def quiet_style() -> Iterator[None]:
    """The project's style, without warnings about letters that are missing from the font."""
    with plot_style(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
