"""A figure's plot, from its lines of results alone: the mean over seeds, in a band of all of them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from synthetic_training.evaluation.plot import save
from synthetic_training.figures.figure_file import MEASURED, Figure
from synthetic_training.figures.style import (
    DASHES,
    LOOK,
    Style,
    setting,
    shown,
    spoken,
    style_of,
    styles_of_tests,
)
from synthetic_training.figures.summary import (
    Band,
    by_key,
    by_length,
    by_swept,
    by_test,
    final_loss,
    grouped,
    label_of,
    last_length,
    lowest,
    mean_curve,
    panels_of,
    swept_values,
)
from synthetic_training.training.run_log import Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARKERS = 0.12
"""Distance of markers on a line of many points, as a share of the plot."""

_MANY = 12
"""Points from which on not all have a marker."""
_FEW = 100
"""How often the lowest number of an axis goes into its highest where it has few powers of ten."""
_ROOM = 0.11
"""Least distance of two numbers at an axis, as a share of it."""


def draw(figure: Figure, lines: Sequence[Line], files: Sequence[Path]) -> None:
    """Draw the results of one scale, once into each file, in the format of its ending."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Canvas

    scale = figure.scales.get(lines[0]["scale"])
    by_n = figure.x == "length" and _one_length(lines)
    plot = _keys if by_n else _X.get(figure.x, partial(_swept, name=figure.x))
    facets = _facets(figure, lines, list(scale.panels) if scale else [])
    with mpl.rc_context(LOOK):
        each = 2.4 if figure.x in MEASURED else 3.0
        width = 4.6 if len(facets) == 1 else 1.6 + each * len(facets)
        canvas = Canvas(figsize=(width, 3.0), layout="constrained")
        row = canvas.subplots(1, len(facets), sharey=True, squeeze=False)[0]
        for axes, (title, part) in zip(row, facets, strict=True):
            axes.grid(True)
            plot(axes, part)
            axes.set_title(title if len(facets) > 1 else figure.title)
            if axes is not row[0]:
                axes.set_ylabel("")
        handles = {
            label: line for axes in row for line, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        canvas.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False)
        for file in files:
            save(canvas, file)


def _facets(figure: Figure, lines: Sequence[Line], order: Sequence[str]) -> list[tuple[str, list[Line]]]:
    """Title and lines of each part: a panel, and a model where each has several tests."""
    several = (
        figure.x == "length"
        and not _one_length(lines)
        and len({name for line in lines for name in by_test(line)}) > 1
    )
    facets = []
    for panel in panels_of(lines, order):
        part = [line for line in lines if line["panel"] == panel]
        for label, own in grouped(part, label_of).items() if several else [(None, part)]:
            titles = [spoken(panel)] if panel else []
            facets.append((", ".join(titles + ([shown(label)] if label else [])), own))
    return facets


def _examples(axes: "Axes", lines: Sequence[Line]) -> None:
    end = max(point["examples"] for line in lines for point in line["curve"])
    for style, own in _styled(lines):
        bands = mean_curve(own)
        _line(axes, bands, style)
        last = bands[-1]
        if last.x < end:
            # ended early: it would have stayed
            axes.plot([last.x, end], [last.mean] * 2, color=style["color"], lw=0.8, ls=":")
    axes.set_xscale("log")
    _counts(axes)
    axes.set_xlabel("training examples")
    lengths = sorted({last_length(line) for line in lines})
    axes.set_ylabel(f"string accuracy, length {' / '.join(map(str, lengths))}")
    axes.set_ylim(-0.03, 1.03)


def _lengths(axes: "Axes", lines: Sequence[Line]) -> None:
    tests = list(dict.fromkeys(name for line in lines for name in by_test(line)))
    if len(tests) > 1:
        for style, test in zip(styles_of_tests(tests), tests, strict=True):
            _line(axes, by_length(lines, test), style)
    else:
        for style, own in _styled(lines):
            _line(axes, by_length(own, tests[0]), style)
    longest = max(line["config"]["max_length"] for line in lines)
    axes.axvline(longest, color="black", lw=0.9, ls=":", label="longest in training")
    axes.set_xscale("log", base=2)
    _ticks(axes, sorted({score["length"] for line in lines for score in line["tests"]}))
    axes.set_xlabel("length of the string")
    axes.set_ylabel("string accuracy")
    axes.set_ylim(-0.03, 1.03)


def _one_length(lines: Sequence[Line]) -> bool:
    """Whether tests differ in their keys alone."""
    scores = [score for line in lines for score in line["tests"]]
    lengths, keys = ({s[name] for s in scores if s["task"] != "copy"} for name in ("length", "n"))
    return len(lengths) == 1 < len(keys)


def _keys(axes: "Axes", lines: Sequence[Line]) -> None:
    """Against the letters of the n-gram that stands twice; where none does, as a dotted line."""
    from matplotlib.ticker import MaxNLocator

    for style, own in _styled(lines):
        _line(axes, by_key(own), style)
        for plain in by_length(own, "copy"):
            axes.axhline(plain.mean, color=style["color"], lw=0.9, ls=":")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("letters that stand twice (dotted: none)")
    axes.set_ylabel("string accuracy")
    axes.set_ylim(-0.03, 1.03)


def _swept(axes: "Axes", lines: Sequence[Line], name: str) -> None:
    for label, own in grouped(lines, lambda line: line["label"]).items():
        style, bands = style_of(label, lines), by_swept(own, name, final_loss)
        if not bands:
            continue
        _line(axes, bands, style)
        best = lowest(bands)
        axes.plot(best.x, best.mean, "o", ms=10, mfc="none", mec=style["color"], mew=1.2)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _ticks(axes, swept_values(lines, name))
    axes.set_xlabel(setting(name))
    axes.set_ylabel("training loss at the end (ringed: lowest)")


_X: dict[str, Callable[["Axes", Sequence[Line]], None]] = {
    "examples": _examples,
    "length": _lengths,
}


def _line(axes: "Axes", bands: Sequence[Band], style: Style) -> None:
    x, y = [one.x for one in bands], [one.mean for one in bands]
    axes.plot(x, y, markevery=_MARKERS if len(x) > _MANY else None, **style)
    low, high = [one.low for one in bands], [one.high for one in bands]
    if low != high:
        axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)


def _styled(lines: Sequence[Line]) -> list[tuple[Style, list[Line]]]:
    """Lines of each model and sweep value, with how they are drawn."""
    groups = grouped(lines, label_of)
    labels = [own[0]["label"] for own in groups.values()]
    dashes = [DASHES[labels[:i].count(label) % len(DASHES)] for i, label in enumerate(labels)]
    return [
        ({**style_of(own[0]["label"], lines), "label": shown(name), "linestyle": dash}, own)
        for dash, (name, own) in zip(dashes, groups.items(), strict=True)
    ]


def _counts(axes: "Axes") -> None:
    """Mark powers of ten of a logarithmic axis, and their double and fivefold where it has few of them."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _FEW * low else (1,)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _ticks(axes: "Axes", values: Sequence[float]) -> None:
    """Mark these values of a logarithmic axis; those that have no room for their number go without it."""
    from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

    room = (values[-1] / values[0]) ** _ROOM
    shown: list[float] = []
    for value in reversed(values):
        if not shown or value * room <= shown[-1]:
            shown.append(value)
    axes.xaxis.set_major_locator(FixedLocator(list(values)))
    axes.xaxis.set_minor_locator(NullLocator())
    numbers = [_number(v) if v in shown else "" for v in values]
    axes.xaxis.set_major_formatter(FixedFormatter(numbers))


def _number(value: float) -> str:
    """A rate as short as it can be: 0.0005 is 5e-4."""
    digits, exponent = f"{value:e}".split("e")
    return f"{value:g}" if value >= 1 else min(f"{value:g}", f"{float(digits):g}e{int(exponent)}", key=len)
