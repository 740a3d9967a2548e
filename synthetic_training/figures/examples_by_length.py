"""Training examples that models need, by string length, as numbers and relative to RoPE.

    python -m synthetic_training.figures.examples_by_length efficiency_*_paper.jsonl --out .

reads the results of the efficiency figures, one file per length, and writes ``examples_by_length.png``,
``.svg`` and ``.md``. A factor is the ratio of two geometric means over seeds, with a 95% confidence interval
(Welch's t on logarithms). If a seed of a model missed the accuracy, all of its examples count, and the factor
is *more than* the mean divided by the upper end of RoPE's interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isnan, log, nan, sqrt
from pathlib import Path
from statistics import mean, variance
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_written_by_us, write_text
from dataset_builders.markdown import markdown_table
from dataset_builders.plotting import (
    legend_beside,
    log_scale,
    mark_1_2_5,
    plot_style,
    save_plot,
    short_number,
)
from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import results_of
from synthetic_training.figures.style import model_title, style_of
from synthetic_training.figures.summary import (
    check_alike,
    evaluation_grid,
    examples_until,
    geometric_mean,
    grouped,
    last_length,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEADING = "Training examples until"
"""The beginning of the tables, by which they are recognised."""
BASE = "T_rope"
"""The model with which the others are compared."""


@dataclass(frozen=True)
class Needed:
    """The training examples until an accuracy, of one model at one length.

    Attributes:
        reached: examples of the seeds that reached the accuracy.
        trained: examples of the seeds that did not.
        grid: examples between two evaluations.
    """

    reached: tuple[float, ...]
    trained: tuple[int, ...]
    grid: float

    @property
    def seeds(self) -> int:
        """Number of seeds."""
        return len(self.reached) + len(self.trained)

    @property
    def by_all(self) -> bool:
        """Whether all seeds reached the accuracy."""
        return bool(self.reached) and not self.trained

    @property
    def lower_bound(self) -> float:
        """Geometric mean over all seeds; a seed that missed the accuracy counts with all of its examples."""
        return exp(mean(log(n) for n in (*self.reached, *self.trained)))

    @property
    def interval(self) -> tuple[float, float, float]:
        """Geometric mean over the seeds that reached the accuracy, with its 95% confidence interval."""
        return geometric_mean(self.reached)


@dataclass(frozen=True)
class Factor:
    """A ratio of examples.

    Attributes:
        value: the ratio, or a lower bound of it.
        low: lower end of the 95% confidence interval; NaN if unknown.
        high: upper end of the 95% confidence interval; NaN if unknown.
        is_bound: whether the ratio is larger than ``value``, because some seeds missed the accuracy.
    """

    value: float
    low: float = nan
    high: float = nan
    is_bound: bool = False


Table = Mapping[str, Mapping[int, Needed]]
"""The training examples that models need, by label and length."""


def needed(results: Sequence[Result], accuracy: float) -> dict[str, dict[int, Needed]]:
    """The training examples that each model needs at each length to reach this string accuracy.

    Raises:
        InputError: results of one model and length have different panels or sweeps, or there are none.
    """
    found: dict[str, dict[int, Needed]] = {}
    for label, own in grouped(results, lambda result: str(result["label"])).items():
        for length, with_copies in grouped(own, last_length).items():
            check_alike(label, with_copies, f" at {length} letters")
            # a run that several files contain is one seed
            some = list({result["run"]: result for result in with_copies}.values())
            examples = [examples_until(result, accuracy) for result in some]
            missed = [r["curve"][-1]["examples"] for r, n in zip(some, examples, strict=True) if n is None]
            reached = [n for n in examples if n is not None]
            found.setdefault(label, {})[length] = Needed(tuple(reached), tuple(missed), evaluation_grid(some))
    if not found:
        raise InputError("there are no results")
    return found


def factor(one: Needed, base: Needed) -> Factor | None:
    """The examples that a model needs relative to ``base``; None if a seed of ``base`` missed the accuracy.

    Seeds of the model that missed it needed more than all of their examples, so these give a lower bound. The
    bound allows for the spread of the seeds of ``base``, but not for that of the model's seeds.
    """
    if not base.by_all:
        return None
    center, _, high = base.interval
    if one.trained:
        return Factor(one.lower_bound / (center if isnan(high) else high), is_bound=True)
    logs = [[log(n) for n in some.reached] for some in (one, base)]
    ratio = mean(logs[0]) - mean(logs[1])
    if min(map(len, logs)) < 2:
        return Factor(exp(ratio))
    half = _welch(logs[0], logs[1])
    return Factor(exp(ratio), exp(ratio - half), exp(ratio + half))


def _welch(one: Sequence[float], other: Sequence[float]) -> float:
    """Half of the 95% confidence interval of a difference of means."""
    from scipy.stats import t

    parts = [variance(some) / len(some) for some in (one, other)]
    if sum(parts) == 0:
        return 0.0
    degrees = sum(parts) ** 2 / sum(
        part**2 / (len(some) - 1) for part, some in zip(parts, (one, other), strict=True)
    )
    return float(t.ppf(0.975, degrees)) * sqrt(sum(parts))


def as_text(found: Table, accuracy: float) -> str:
    """Examples and factors by length, as Markdown."""
    lengths = sorted({length for own in found.values() for length in own})
    rows = [
        [model_title(label), *(_cell(own.get(length)) for length in lengths)] for label, own in found.items()
    ]
    title = (
        f"{_HEADING} {accuracy:g} of the strings are correct, by the length of the strings in "
        "letters (geometric mean over the seeds that got there, 95% confidence interval if all did):"
    )
    parts = [title, markdown_table(["model", *map(str, lengths)], rows)]
    base = found.get(BASE)
    if base is not None:
        factors = [
            [
                model_title(label),
                *(
                    _factor_cell(factor(own[length], base[length]))
                    if length in own and length in base
                    else ""
                    for length in lengths
                ),
            ]
            for label, own in found.items()
            if label != BASE
        ]
        parts += [
            f"Times the examples of {model_title(BASE)}:",
            markdown_table(["model", *map(str, lengths)], factors),
        ]
    grids = {length: max(own[length].grid for own in found.values() if length in own) for length in lengths}
    every = ", ".join(f"{grid:,.0f} at {length}" for length, grid in grids.items())
    parts.append(f"Examples are interpolated between evaluations, which are at most this far apart: {every}.")
    return "\n\n".join(parts) + "\n"


def _cell(one: Needed | None) -> str:
    if one is None:
        return ""
    never = f"not within {min(one.trained):,}" if one.trained else ""
    if not one.reached:
        return never
    center, low, high = one.interval
    text = f"{center:,.0f}"
    if one.trained:
        return f"{text} ({len(one.trained)} of {one.seeds}: {never})"
    return text if isnan(low) else f"{text} ({low:,.0f} to {high:,.0f})"


def _factor_cell(one: Factor | None) -> str:
    if one is None:
        return "unknown"
    if one.is_bound:
        return f"more than {one.value:.1f}"
    return f"{one.value:.1f}" + ("" if isnan(one.low) else f" ({one.low:.1f} to {one.high:.1f})")


def draw(found: Table, results: Sequence[Result], accuracy: float, out: Path) -> list[Path]:
    """Plot examples against length, as ``examples_by_length.png`` and ``.svg``; an arrow marks a lower bound.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib.figure import Figure as Canvas

    with plot_style():
        canvas = Canvas(figsize=(3.8, 3.4), layout="constrained")
        axes = canvas.subplots()
        for place, (label, own) in enumerate(found.items()):
            # side by side, so that intervals do not hide each other
            shift = 1.03 ** (place - (len(found) - 1) / 2)
            _draw_model(axes, own, style_of(label, results), shift)
        log_scale(axes, "x")
        log_scale(axes, "y")
        lengths = sorted({length for own in found.values() for length in own})
        axes.set_xticks(lengths, [short_number(length) for length in lengths])
        axes.set_xticks([], minor=True)
        axes.set_xlabel("length of the strings in letters")
        low, high = axes.get_ylim()
        axes.set_ylim(low, 2 * high)  # room for the arrows
        if high < 100 * low:
            mark_1_2_5(axes.yaxis)
        axes.set_ylabel(f"examples until {accuracy:g} are correct (arrow: more)")
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        names = [name for label in found if (name := model_title(label)) in handles]
        legend_beside(canvas, [handles[name] for name in names], names)
        return save_plot(canvas, out, "examples_by_length")


def _draw_model(axes: "Axes", own: Mapping[int, Needed], style: dict[str, Any], shift: float) -> None:
    reached = {length: one for length, one in sorted(own.items()) if one.by_all}
    missed = {length: one for length, one in sorted(own.items()) if one.trained}
    if reached:
        x, each = [length * shift for length in reached], [one.interval for one in reached.values()]
        y = [center for center, _, _ in each]
        low = [0 if isnan(low) else center - low for center, low, _ in each]
        high = [0 if isnan(high) else min(high, 100 * center) - center for center, _, high in each]
        axes.errorbar(x, y, yerr=[low, high], capsize=2, **style)
    hollow = {**style, "mfc": "none", "ls": ""}
    for length, one in missed.items():
        axes.plot(length * shift, one.lower_bound, **hollow)
        axes.annotate(
            "",
            (length * shift, one.lower_bound * 1.6),
            (length * shift, one.lower_bound),
            arrowprops={"arrowstyle": "->", "color": style["color"], "lw": 1.0},
        )


def _write(
    files: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path, accuracy: float = 0.5
) -> None:
    """Plot and tabulate training examples by the length of the strings.

    Args:
        files: Results of the efficiency figures, one for each length.
        out: Folder for the plot and the table.
        accuracy: String accuracy until which examples are counted.
    """
    if not 0 < accuracy < inf or accuracy > 1:
        raise InputError(f"accuracy must be above 0 and at most 1, not {accuracy}")
    table = out / "examples_by_length.md"
    check_written_by_us(table, _HEADING, "was not written by this command", "pass another folder with --out")
    results = results_of(files)
    found = needed(results, accuracy)
    made = [*draw(found, results, accuracy, out), table]
    write_text(table, as_text(found, accuracy))
    print(as_text(found, accuracy) + "\nwritten: " + ", ".join(map(str, made)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the plot and the table for the files on the command line."""
    with command_errors():
        cli(_write, prog="python -m synthetic_training.figures.examples_by_length", args=arguments)


if __name__ == "__main__":
    main()
