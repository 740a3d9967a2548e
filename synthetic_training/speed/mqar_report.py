"""The table and the plot of ``synthetic_training.speed.mqar``."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from dataset_builders.plotting import log_scale, plot_style, save_plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GOALS = {"attention": 10, "mamba": 4}
"""Examples per second relative to Zoology's trainer that are aimed at."""


def table(measured: list[dict[str, Any]]) -> str:
    """The measurements as a Markdown table; accuracies are compared after the same number of examples."""
    lines = []
    for one in measured:
        curves = [one.get(f"{name}_curve", []) for name in ("zoology", "ours")]
        shared = [len(curve) for curve in curves if curve]
        ratio = f"{one['ratio']:.1f}x" if "ratio" in one else ""
        lines.append(
            [
                one["model"],
                f"({one['length']}, {one['pairs']})",
                f"{curves[1][min(shared) - 1]['examples']:,}" if curves[1] else "",
                *(f"{curve[min(shared) - 1]['accuracy']:.3f}" if curve else "failed" for curve in curves),
                *(f"{max(p['accuracy'] for p in curve):.3f}" if curve else "failed" for curve in curves),
                *(
                    f"{one[f'{name}_examples_per_s']:,.0f}" if f"{name}_examples_per_s" in one else "failed"
                    for name in ("zoology", "ours")
                ),
                ratio,
                f"{GOALS[one['model']]}x",
            ]
        )
    headers = ["model", "(length, pairs)", "examples", "accuracy, Zoology", "accuracy, ours",
               "best, Zoology", "best, ours", "examples/s, Zoology", "examples/s, ours", "ratio",
               "goal"]  # fmt: skip
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def save(measured: list[dict[str, Any]], out: Path) -> list[Path]:
    """Plot accuracy by training examples as PNG and SVG, next to the file of measurements."""
    with plot_style():
        return save_plot(
            _curves(measured), out.parent, out.stem, replace=True
        )  # like the file of measurements


def _curves(measured: list[dict[str, Any]]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(measured) + 1.4, 3.0), layout="constrained")
    row = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for axes, one in zip(row, measured, strict=True):
        for name, label in (("ours", "ours"), ("zoology", "Zoology's trainer")):
            curve = one.get(f"{name}_curve", [])
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
