"""A figure's plot, only from its results: the mean over seeds, with a band from minimum to maximum."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isclose
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_builders.plotting import legend_beside, log_scale, plot_style, save_plot, short_number
from synthetic_training.figures.figure_file import MEASURED, Figure
from synthetic_training.figures.plan import Result
from synthetic_training.figures.style import (
    DASHES,
    Style,
    model_title,
    setting_title,
    style_of,
    styles_of_tests,
    task_title,
)
from synthetic_training.figures.summary import (
    Band,
    accuracy_name,
    best_of,
    by_key,
    by_length,
    by_swept,
    by_test,
    final_accuracy,
    final_loss,
    grouped,
    label_of,
    last_length,
    lowest,
    mean_curve,
    panels_of,
    swept_values,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST = "longest in training"
_MARKERS = 0.12
"""Distance between markers on a curve of many points, as a fraction of the plot."""

_MANY = 12
"""Minimum number of points of a curve on which only some points have a marker."""
_FEW = 100
"""Below this ratio of its highest to its lowest value, an axis contains few powers of ten."""
_HIDES = 0.02
"""Difference in accuracy below which a curve hides another."""
_ROOM = 0.11
"""Minimum distance between two tick labels, as a fraction of the axis."""


def draw(
    figure: Figure,
    results: Sequence[Result],
    folder: Path,
    name: str,
    chosen: Mapping[tuple[str, str | None], float] | None = None,
) -> list[Path]:
    """Plot the results of one scale, as ``NAME.png`` and ``NAME.svg``.

    Args:
        figure: what the results show.
        results: results of one scale.
        folder: folder of the plot.
        name: name of the plot without extension.
        chosen: in plots of the loss by a swept setting, the value to ring, by label and panel; None to ring
            the lowest loss.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib.figure import Figure as Canvas

    scale = figure.scales.get(results[0]["scale"])
    by_n = figure.x == "length" and _one_length(results)
    plot = _keys if by_n else _X.get(figure.x, partial(_swept, name=figure.x, chosen=chosen))
    if figure.best_of is not None:
        plot = partial(_best, name=figure.x, over=figure.best_of)
    facets = _facets(figure, results, list(scale.panels) if scale else [])
    with plot_style():
        each = 2.4 if figure.x in MEASURED and len(facets) > 1 else 3.0
        width = 0.3 + each * len(facets)
        canvas = Canvas(figsize=(width, 3.0), layout="constrained")
        row = canvas.subplots(1, len(facets), sharey=True, squeeze=False)[0]
        for axes, (title, part) in zip(row, facets, strict=True):
            plot(axes, part)
            axes.set_title(title if len(facets) > 1 else figure.title)
            if axes is not row[0]:
                axes.set_ylabel("")
        handles = {
            label: handle
            for axes in row
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        if _LONGEST in handles:  # below the models of all panels
            handles[_LONGEST] = handles.pop(_LONGEST)
        legend_beside(canvas, handles.values(), handles.keys())
        return save_plot(canvas, folder, name, replace=True)  # reproduce has checked the folder


def _facets(
    figure: Figure, results: Sequence[Result], order: Sequence[str]
) -> list[tuple[str, list[Result]]]:
    """Title and results of each subplot: a panel, or one model of a panel if models have several tests."""
    facets = []
    for panel in panels_of(results, order):
        part = [result for result in results if result["panel"] == panel]
        tests = {name for result in part for name in by_test(result)}
        several = figure.x == "length" and not _one_length(part) and len(tests) > 1
        for label, own in grouped(part, label_of).items() if several else [(None, part)]:
            titles = [task_title(panel)] if panel else []
            facets.append((", ".join(titles + ([model_title(label)] if label else [])), own))
    return facets


def _examples(axes: "Axes", results: Sequence[Result]) -> None:
    end = max(point["examples"] for result in results for point in result["curve"])
    curves = [(style, mean_curve(own)) for style, own in _styled(results)]
    _draw_curves(axes, curves)
    for style, bands in curves:
        last = bands[-1]
        if last.x < end:
            # the run stopped early, at an accuracy that it is assumed to keep
            axes.plot([last.x, end], [last.mean] * 2, color=style["color"], lw=0.8, ls=":")
    log_scale(axes, "x")
    _counts(axes)
    axes.set_xlabel("training examples")
    lengths = sorted({last_length(result) for result in results})
    axes.set_ylabel(f"string accuracy, length {' / '.join(map(str, lengths))}")
    axes.set_ylim(-0.03, 1.03)


def _lengths(axes: "Axes", results: Sequence[Result]) -> None:
    tests = list(dict.fromkeys(name for result in results for name in by_test(result)))
    if len(tests) > 1:
        for style, test in zip(styles_of_tests(tests), tests, strict=True):
            _draw_curve(axes, by_length(results, test), style)
    else:
        _draw_curves(axes, [(style, by_length(own, tests[0])) for style, own in _styled(results)])
    longest = max(result["config"]["max_length"] for result in results)
    axes.axvline(longest, color="black", lw=0.9, ls=":", label=_LONGEST)
    log_scale(axes, "x", base=2)
    _ticks(axes, sorted({score["length"] for result in results for score in result["tests"]}), longest)
    axes.set_xlabel("length of the string")
    axes.set_ylabel("string accuracy")
    axes.set_ylim(-0.03, 1.03)


def _one_length(results: Sequence[Result]) -> bool:
    """Whether all tests have the same length, but n-grams of several lengths that occur twice."""
    scores = [score for result in results for score in result["tests"] if score["task"] != "copy"]
    tasks, lengths, keys = ({score[name] for score in scores} for name in ("task", "length", "n"))
    return tasks == {"duplicate_ngram"} and len(lengths) == 1 < len(keys)


def _keys(axes: "Axes", results: Sequence[Result]) -> None:
    """Accuracy against the length of the n-gram that occurs twice; a dotted line for strings without one."""
    from matplotlib.ticker import MaxNLocator

    styled = _styled(results)
    _draw_curves(axes, [(style, by_key(own)) for style, own in styled])
    for style, own in styled:
        for plain in by_length(own, "copy"):
            axes.axhline(plain.mean, color=style["color"], lw=0.9, ls=":")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("length of the n-gram that occurs twice (dotted: none)")
    axes.set_ylabel("string accuracy")
    axes.set_ylim(-0.03, 1.03)


def _swept(
    axes: "Axes",
    results: Sequence[Result],
    name: str,
    chosen: Mapping[tuple[str, str | None], float] | None,
) -> None:
    for style, own in _styled(results, name):
        bands = by_swept(own, name, final_loss)
        if not bands:
            continue
        _draw_curve(axes, bands, style)
        ringed = [lowest(bands)]
        if chosen is not None:
            ringed = [one for one in bands if one.x == chosen.get((own[0]["label"], own[0]["panel"]))]
        for one in ringed:
            axes.plot(one.x, one.mean, "o", ms=10, mfc="none", mec=style["color"], mew=1.2)
    log_scale(axes, "x")
    log_scale(axes, "y")
    _ticks(axes, swept_values(results, name))
    axes.set_xlabel(setting_title(name))
    ringed_are = " (ringed: lowest)" if chosen is None else "\n(ringed: chosen learning rate)"
    axes.set_ylabel(f"final training loss{ringed_are}")


def _best(axes: "Axes", results: Sequence[Result], name: str, over: str) -> None:
    for style, own in _styled(best_of(results, over), name, over):
        _draw_curve(axes, by_swept(own, name, final_accuracy), style)
    log_scale(axes, "x", base=2)
    _ticks(axes, swept_values(results, name))
    axes.set_xlabel(setting_title(name))
    axes.set_ylabel(f"{accuracy_name(results)}, best {setting_title(over)}")
    axes.set_ylim(-0.03, 1.03)


_X: dict[str, Callable[["Axes", Sequence[Result]], None]] = {
    "examples": _examples,
    "length": _lengths,
}


def _draw_curves(axes: "Axes", curves: Sequence[tuple[Style, Sequence[Band]]]) -> None:
    """Draw curves of accuracy. Those that coincide have different widths, so that all are visible."""
    for place, (style, bands) in enumerate(curves):
        above = sum(_coincide(bands, other) for _, other in curves[place + 1 :])
        size = {"linewidth": 1.4 + 0.9 * above, "markersize": 4.5 + 1.5 * above} if above else {}
        _draw_curve(axes, bands, {**style, **size})


def _coincide(one: Sequence[Band], other: Sequence[Band]) -> bool:
    return len(one) == len(other) and all(
        isclose(a.x, b.x, rel_tol=0.02) and abs(a.mean - b.mean) < _HIDES
        for a, b in zip(one, other, strict=True)
    )


def _draw_curve(axes: "Axes", bands: Sequence[Band], style: Style) -> None:
    x, y = [one.x for one in bands], [one.mean for one in bands]
    axes.plot(x, y, markevery=_MARKERS if len(x) > _MANY else None, **style)
    low, high = [one.low for one in bands], [one.high for one in bands]
    if low != high:
        axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)


def _styled(results: Sequence[Result], *apart: str) -> list[tuple[Style, list[Result]]]:
    """Results by model and swept values, each with its style; values of ``apart`` are not separated."""
    groups = grouped(results, lambda result: label_of(result, *apart))
    labels = [own[0]["label"] for own in groups.values()]
    dashes = [DASHES[labels[:i].count(label) % len(DASHES)] for i, label in enumerate(labels)]
    return [
        ({**style_of(own[0]["label"], results), "label": model_title(name), "linestyle": dash}, own)
        for dash, (name, own) in zip(dashes, groups.items(), strict=True)
    ]


def _counts(axes: "Axes") -> None:
    """Mark the powers of ten of a logarithmic axis, and 2 and 5 times them if there are few."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _FEW * low else (1,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _ticks(axes: "Axes", values: Sequence[float], first: float | None = None) -> None:
    """Mark these values on a logarithmic axis; overlapping labels are left out, but never ``first``."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    room = (values[-1] / values[0]) ** _ROOM
    shown: list[float] = []
    for value in sorted(values, key=lambda one: (one != first, -one)):
        if all(max(value, other) >= room * min(value, other) for other in shown):
            shown.append(value)
    axes.xaxis.set_major_locator(FixedLocator(list(values)))
    axes.xaxis.set_minor_locator(NullLocator())
    numbers = [short_number(v) if v in shown else "" for v in values]
    axes.xaxis.set_major_formatter(FixedFormatter(numbers))
