"""Plots from logged samples: accuracy by position, classes of wrong answers, first errors of copies."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataset_builders.checks import shortened
from dataset_builders.plotting import save_plot
from lm_eval_tasks.results.errors import TRUNCATED, Errors, occurring
from lm_eval_tasks.results.plots import quiet_style
from lm_eval_tasks.results.positions import TENTHS, QueriedDocument, cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FEW = 5
"""Number of documents below which a mean is marked as unreliable; the interval of 4 of 4 begins at 0.51."""

_RIGHT = "#d9e8d5"
_CLASSES = (
    "#ffffff", "#1a1a1a", "#4d4d4d", "#7a7a7a", "#009e73", "#08306b", "#2171b5", "#6baed6", "#c6dbef",
    "#d55e00", "#f0a868", "#cc79a7", "#e6c300", "#bbbbbb",
)  # fmt: skip
"""Colours of the classes, in order; the first is for documents that did not fit."""


def draw_positions(
    benchmark: str, documents: Sequence[QueriedDocument], unit: str, folder: Path
) -> list[Path]:
    """Draw accuracy as heat maps of length by position and by distance from the end, with one row per model.

    Returns:
        ``BENCHMARK_by_position.png`` and ``.svg``; no files without documents.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib.figure import Figure

    if not documents:
        return []
    lengths = sorted({one.length for one in documents})
    labels = list(dict.fromkeys(one.label for one in documents))
    height = 0.9 + 0.24 * len(lengths)
    with quiet_style():
        figure = Figure(figsize=(7.2, 0.3 + height * len(labels)), layout="constrained")
        panels = figure.subplots(len(labels), 2, squeeze=False, sharey=True)
        edges = _distance_edges(max(one.positions for one in documents))
        for row, label in zip(panels, labels, strict=True):
            own = [one for one in documents if one.label == label]
            _heat_map(row[0], own, lengths, lambda one: one.tenth, TENTHS)
            image = _heat_map(
                row[1], own, lengths, lambda one: int(np.searchsorted(edges, one.distance)), len(edges)
            )
            row[0].set_title(f"{benchmark}: {shortened(label, 50)}", loc="left")
            row[1].set_title(_per_cell(own), loc="right")
            row[0].set_ylabel(unit)
            row[0].set_xticks(range(TENTHS), [str(k + 1) for k in range(TENTHS)])
            row[1].set_xticks(range(len(edges)), _distance_labels(edges))
        panels[-1][0].set_xlabel("queried position (tenths of the document)")
        panels[-1][1].set_xlabel(
            f"distance from the end ({unit}; 1 is the last)\n(in parentheses: fewer than {_FEW} documents)"
        )
        figure.colorbar(
            image,
            ax=panels,
            label="accuracy (white: no documents)",
            shrink=min(1.0, 2 / len(labels)),
            aspect=15,
        )
        return save_plot(figure, folder, f"{benchmark}_by_position")


def _per_cell(documents: Sequence[QueriedDocument]) -> str:
    """The range of documents per cell of the left map."""
    counts = [len(right) for right in cells(documents).values()]
    each = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    return f"{each} documents per cell on the left"


def _distance_edges(most: int) -> list[int]:
    """Upper ends of groups of distances: 1, 2, 4, 8, ..., up to the longest document."""
    return [2**k for k in range(math.ceil(math.log2(most)) + 1)]


def _distance_labels(edges: Sequence[int]) -> list[str]:
    return [str(edge) if edge < 3 else f"≤{edge}" for edge in edges]


def _heat_map(
    axes: "Axes",
    documents: Sequence[QueriedDocument],
    lengths: Sequence[int],
    column: Callable[[QueriedDocument], int],
    width: int,
) -> Any:
    """Mean accuracy by length and column; each cell shows its mean, and cells without documents are empty.

    Means of few documents are in parentheses.
    """
    right, count = np.zeros((len(lengths), width)), np.zeros((len(lengths), width))
    for one in documents:
        at = (lengths.index(one.length), column(one))
        count[at] += 1
        right[at] += one.right
    mean = np.divide(right, count, out=np.full_like(right, np.nan), where=count > 0)
    image = axes.imshow(mean, cmap="viridis", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    for (i, j), value in np.ndenumerate(mean):
        if not np.isnan(value):
            text = f"{value:.2f}".removeprefix("0") if 0 < value < 1 else f"{value:.0f}"
            text = f"({text})" if count[i, j] < _FEW else text
            colour = "black" if value > 0.6 else "white"
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color=colour)
    axes.set_yticks(range(len(lengths)), [str(length) for length in lengths])
    axes.grid(visible=False)
    return image


def draw_errors(benchmark: str, errors: Sequence[Errors], unit: str, folder: Path) -> list[Path]:
    """Draw wrong answers by class as stacked bars, with one bar per length and one panel per model.

    Returns:
        ``BENCHMARK_errors.png`` and ``.svg``; no files without errors.

    Raises:
        InputError: a file cannot be written.
    """
    if not errors:
        return []
    labels = list(dict.fromkeys(one.label for one in errors))
    names = occurring(errors)
    with quiet_style():
        figure, panels = _panels(len(labels))
        for axes, label in zip(panels, labels, strict=True):
            own = sorted((one for one in errors if one.label == label), key=lambda one: one.length)
            _stack(axes, own, names)
            axes.set_title(f"{benchmark}: {shortened(label, 50)}", loc="left")
        panels[-1].set_xlabel(f"length ({unit})")
        handles, texts = panels[0].get_legend_handles_labels()
        figure.legend(handles[::-1], texts[::-1], loc="outside right upper", frameon=False)
        return save_plot(figure, folder, f"{benchmark}_errors")


def _stack(axes: "Axes", errors: Sequence[Errors], names: Sequence[str]) -> None:
    x = range(len(errors))
    bottom = np.zeros(len(errors))
    colour_of = dict(zip(errors[0].classes, _CLASSES, strict=False))
    for name in ("right", *names):
        counts = [one.right if name == "right" else one.classes[name] for one in errors]
        shares = np.array(counts) / [one.documents for one in errors]
        axes.bar(
            x, shares, 0.75, bottom, label=name, color=_RIGHT if name == "right" else colour_of.get(name),
            hatch="//" if name == TRUNCATED else None,
        )  # fmt: skip
        bottom += shares
    axes.set_xticks(x, [str(one.length) for one in errors])
    axes.set_ylim(0, 1)
    axes.set_ylabel("fraction of documents")
    axes.grid(visible=False)


def draw_first_errors(
    benchmark: str, fractions: Mapping[tuple[str, int], Sequence[float]], unit: str, folder: Path
) -> list[Path]:
    """Draw the fraction of copies without an error so far, by position in the answer.

    Returns:
        ``BENCHMARK_first_error.png`` and ``.svg``, with one panel per model; no files without fractions.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib import colormaps

    if not fractions:
        return []
    labels = list(dict.fromkeys(label for label, _ in fractions))
    lengths = sorted({length for _, length in fractions})
    with quiet_style():
        figure, panels = _panels(len(labels))
        for axes, label in zip(panels, labels, strict=True):
            for number, length in enumerate(lengths):
                own = np.array(fractions.get((label, length), ()))
                if len(own):
                    x = np.unique(np.concatenate([[0, 1], own]))
                    colour = colormaps["viridis"](0.85 * number / max(1, len(lengths) - 1))
                    y = [(own >= at).mean() for at in x]
                    axes.step(100 * x, y, where="pre", color=colour, label=f"{length} {unit}")
            axes.set_title(f"{benchmark}: {shortened(label, 50)}", loc="left")
            axes.set_xlim(0, 100)
            axes.set_ylim(-0.02, 1.04)
            axes.set_ylabel("fraction of copies without an error")
        panels[-1].set_xlabel("position in the answer (per cent)")
        by_text = {
            text: handle
            for axes in panels
            for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(by_text.values(), by_text.keys(), loc="outside right upper", frameon=False)
        return save_plot(figure, folder, f"{benchmark}_first_error")


def _panels(count: int) -> "tuple[Figure, Sequence[Axes]]":
    """A figure with panels stacked vertically."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 0.5 + 2.3 * count), layout="constrained")
    return figure, list(figure.subplots(count, 1, squeeze=False)[:, 0])
