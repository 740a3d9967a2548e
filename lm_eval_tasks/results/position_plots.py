"""Plots accuracy by position as curves, with one panel per length and one line per model."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_builders.plotting import save_plot
from lm_eval_tasks.results.intervals import interval
from lm_eval_tasks.results.plots import RowStyle, legend_text, quiet_style
from lm_eval_tasks.results.positions import METRIC, TENTHS, QueriedDocument, cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
"""Maximum number of panels in a row."""


def draw_by_tenth(
    benchmark: str,
    documents: Sequence[QueriedDocument],
    unit: str,
    style_of: Mapping[str, RowStyle],
    folder: Path,
) -> list[Path]:
    """Draw accuracy by the queried tenth of the document, with one panel per length and one line per model.

    Bars are Wilson's 95% intervals. Lines are shifted slightly, so that their bars do not hide each other.

    Returns:
        ``BENCHMARK_by_tenth.png`` and ``.svg``; no files without documents.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib.figure import Figure

    if not documents:
        return []
    by_cell = cells(documents)
    lengths = sorted({one.length for one in documents})
    labels = list(dict.fromkeys(one.label for one in documents))
    lines = math.ceil(len(lengths) / _COLUMNS)
    columns = math.ceil(len(lengths) / lines)
    with quiet_style():
        figure = Figure(figsize=(0.8 + 2.4 * columns, 0.9 + 1.9 * lines), layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
        for axes, length in zip(panels.flat, lengths, strict=False):
            for number, label in enumerate(labels):
                tenths = [k for k in range(TENTHS) if (label, length, k) in by_cell]
                if tenths:
                    right = [by_cell[label, length, k] for k in tenths]
                    aside = (number - (len(labels) - 1) / 2) * min(0.2, 0.6 / len(labels))
                    _curve(axes, [k + aside for k in tenths], right, style_of[label], label)
            axes.set_title(f"{length} {unit}", loc="left")
            axes.set_xticks(range(TENTHS), [str(k + 1) for k in range(TENTHS)])
            axes.set_ylim(-0.04, 1.04)
        for axes in panels.flat[len(lengths) - columns : len(lengths)]:  # the lowest panel of each column
            axes.tick_params(labelbottom=True)
        for axes in panels.flat[len(lengths) :]:
            axes.set_axis_off()
        title = f"{benchmark}, by queried position (tenths of the document); bars: 95% intervals (Wilson)"
        figure.suptitle(title, fontsize=9)
        figure.supylabel(METRIC.replace("_", " "), fontsize=9)
        handles = {
            text: line
            for axes in panels.flat
            for line, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(handles.values(), handles.keys(), loc="outside lower left", frameon=False, ncols=2)
        return save_plot(figure, folder, f"{benchmark}_by_tenth")


def _curve(
    axes: "Axes", places: Sequence[float], right: Sequence[Sequence[bool]], style: RowStyle, label: str
) -> None:
    means = [sum(one) / len(one) for one in right]
    ends = [
        interval(METRIC, mean, None, len(one)) or (mean, mean) for one, mean in zip(right, means, strict=True)
    ]
    bars = [
        [max(0.0, mean - low) for mean, (low, _) in zip(means, ends, strict=True)],
        [max(0.0, high - mean) for mean, (_, high) in zip(means, ends, strict=True)],
    ]
    axes.errorbar(
        places, means, yerr=bars, color=style.colour, marker=style.marker, markersize=3, capsize=1.5,
        elinewidth=0.7, label=legend_text(label),
    )  # fmt: skip
