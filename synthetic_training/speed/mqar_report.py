"""The table and the plot of ``synthetic_training.speed.mqar``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from dataset_builders.plotting import log_scale, plot_style, save_plot
from synthetic_training.speed.mqar_run import Run, best_point, best_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GOALS = {"attention": 10, "mamba": 4}
"""Examples per second relative to Zoology's trainer that are aimed at."""

_TRAINERS = {"zoology": "Zoology", "ours": "ours"}


def table(measured: list[dict[str, Any]]) -> str:
    """The measurements as a Markdown table: for both trainers, the run with the best learning rate.

    Args:
        measured: for each model and size, ``model``, ``length``, ``pairs``, the results of the trainers as
            ``ours`` and ``zoology``, which may be empty, and ``ratio`` if both have one.
    """
    lines = []
    for one in measured:
        cells = {name: _cells(one[name]) for name in _TRAINERS}
        goal = GOALS.get(one["model"])
        lines.append(
            [
                one["model"],
                f"({one['length']}, {one['pairs']})",
                *(cells[name][i] for i in range(4) for name in _TRAINERS),
                f"{one['ratio']:.1f}x" if "ratio" in one else "",
                f"{goal}x" if goal else "",
            ]
        )
    columns = ("learning rate", "accuracy", "examples until then", "examples/s")
    headers = ["model", "(length, pairs)",
               *(f"{column}, {label}" for column in columns for label in _TRAINERS.values()),
               "ratio", "goal"]  # fmt: skip
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def _cells(runs: list[Run]) -> list[str]:
    """Learning rate, accuracy, examples and examples per second of the best run."""
    run = best_run(runs)
    if run is None:
        return ["failed" if runs else ""] * 4
    point = best_point(run)
    return [
        f"{run['lr']:.2g}",
        f"{point['accuracy']:.3f}",
        f"{point['examples']:,}",
        f"{run['examples_per_s']:,.0f}",
    ]


def plot_files(out: Path) -> list[Path]:
    """The files of the plot beside a file of measurements."""
    return [out.with_suffix(f".{kind}") for kind in ("png", "svg")]


def save(measured: list[dict[str, Any]], out: Path) -> list[Path]:
    """Plot the accuracy of the best runs by training examples as PNG and SVG, next to the measurements."""
    with plot_style():
        return save_plot(_curves(measured), out.parent, out.stem)


def _curves(measured: list[dict[str, Any]]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(measured) + 1.4, 3.0), layout="constrained")
    row = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for axes, one in zip(row, measured, strict=True):
        for name, label in (("ours", "ours"), ("zoology", "Zoology's trainer")):
            curve = (best_run(one[name]) or {"curve": []})["curve"]
            axes.plot(
                [p["examples"] for p in curve], [p["accuracy"] for p in curve], marker="o", ms=3, label=label
            )
        log_scale(axes, "x")
        axes.set_title(f"{one['model']}, {one['length']} tokens, {one['pairs']} pairs")
        axes.set_xlabel("training examples")
        axes.set_ylim(-0.03, 1.03)
    row[0].set_ylabel("accuracy")
    handles, labels = row[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    return figure
