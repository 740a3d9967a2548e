"""The state of each model of a figure, compared with the strings that it copies and with Theorem 2.7.

    python -m synthetic_training.figures.state length_generalization_paper.jsonl --out .

writes ``state.md``, ``state.png`` and ``state.svg``. State is counted, not derived: each model is created
without weights and reads a string (``theory.state``). A string of L letters out of D has L log2 D bits. By
Theorem 2.7, a model with fewer bits of state copies at most a fraction of 2^bits / D^L of uniform strings,
which is nearly none. The plot shows how far the trained models are above this limit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_written_by_us, write_text
from dataset_builders.markdown import markdown_table
from dataset_builders.plotting import legend_beside, log_scale, plot_style, save_plot
from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import results_of
from synthetic_training.figures.style import model_title, style_of
from synthetic_training.figures.summary import by_test, check_alike, grouped
from synthetic_training.theory.bounds import half_error_length

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEADER = "bits copied per bit of state"
"""Header of a column, by which the table is recognised."""

_HALF = 0.5
"""Minimum string accuracy at which a length counts as copied."""


@dataclass(frozen=True)
class Model:
    """A model of a figure.

    Attributes:
        accuracy: mean string accuracy of copying over seeds, by length.
        bits: bits of the state after a string, by length; empty if the model does not show its state.
        letters: D, number of different letters.
    """

    accuracy: Mapping[int, float]
    bits: Mapping[int, int]
    letters: int

    @property
    def copied(self) -> int | None:
        """The greatest tested length at which at least half of the strings are copied; None if none is."""
        return max((length for length, value in self.accuracy.items() if value >= _HALF), default=None)

    @property
    def per_bit(self) -> tuple[float, int] | None:
        """The maximum number of bits copied per bit of state, and the length at which it is reached.

        The bits copied at a length are accuracy times the bits of a string. None if no string is copied.
        """
        shares = [
            (value * length * log2(self.letters) / self.bits[length], length)
            for length, value in self.accuracy.items()
            if value > 0 and length in self.bits
        ]
        return max(shares, default=None)

    @property
    def grows(self) -> bool:
        return len(set(self.bits.values())) > 1


def models_of(results: Sequence[Result]) -> dict[str, Model]:
    """The models of a figure that tests copying by length.

    Raises:
        InputError: there are no such tests, or a model has several panels or swept values.
    """
    found = {}
    for label, own in grouped(results, lambda result: str(result["label"])).items():
        check_alike(label, own)
        tests = [by_test(result).get("copy", {}) for result in own]
        lengths = sorted({length for test in tests for length in test})
        if not lengths:
            continue
        accuracy = {n: mean(test[n] for test in tests if n in test) for n in lengths}
        found[label] = Model(accuracy, _bits(own[0], lengths), own[0]["config"]["vocabulary"])
    if not found:
        raise InputError("these results have no accuracy of copying by length")
    return found


def _bits(result: Result, lengths: Sequence[int]) -> dict[int, int]:
    """Bits of a model's state by length, after a string and its two special tokens; empty if unknown."""
    import torch

    from synthetic_training.models.registry import build_model
    from synthetic_training.theory.state import state_bits

    config = result["config"]
    tokens = {"vocab_size": result["config"]["vocabulary"] + 4}
    dtype = torch.bfloat16 if config["device"] == "cuda" else torch.float32
    try:
        with torch.device("meta"):
            model = build_model(config["model"], tokens, **config["model_args"])
        first, middle = (state_bits(model, n + 2, dtype) for n in (lengths[0], lengths[len(lengths) // 2]))
        if first == middle:  # reading a long string takes a recurrent model minutes here
            return dict.fromkeys(lengths, first)
        return {length: state_bits(model, length + 2, dtype) for length in lengths}
    except InputError:
        return {}


def as_text(models: Mapping[str, Model]) -> str:
    """Table of each model's state and of the strings that it copies, as Markdown."""
    rows = []
    for label, one in models.items():
        lengths = sorted(one.bits)
        state = (
            ["unknown", ""] if not one.bits else [f"{one.bits[lengths[0]]:,}", f"{one.bits[lengths[-1]]:,}"]
        )
        copied, share = one.copied, one.per_bit
        bound = (
            "" if not one.bits or one.grows else f"{half_error_length(one.bits[lengths[0]], one.letters):,}"
        )
        rows.append(
            [
                model_title(label),
                *state,
                "none" if copied is None else str(copied),
                "" if share is None else f"{share[0]:.2g} at {share[1]}",
                bound,
            ]
        )
    ends = sorted({length for one in models.values() for length in one.accuracy})
    headers = [
        "model",
        f"bits of state after {ends[0]} letters",
        f"after {ends[-1]}",
        "longest length half copied",
        _HEADER,
        "error above 1/2 from",
    ]
    about = (
        "State is counted in the precision of training. *Bits copied per bit of state*: accuracy times the "
        "bits of a string, divided by those of the state, at the length where it is highest. *Error above "
        "1/2 from*: the length in letters from which on Theorem 2.7 allows less than half of the strings."
    )
    return markdown_table(headers, rows) + f"\n\n{about}\n"


def draw(models: Mapping[str, Model], results: Sequence[Result], out: Path) -> list[Path]:
    """Plot bits of state against length, with the bits of the string.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib.figure import Figure as Canvas

    with plot_style():
        canvas = Canvas(figsize=(4.0, 3.4), layout="constrained")
        axes = canvas.subplots()
        shown = {label: one for label, one in models.items() if one.bits}
        for place, (label, one) in enumerate(shown.items()):
            # curves of models with the same state coincide: larger markers are visible behind smaller ones
            hidden = sum(other.bits == one.bits for other in list(shown.values())[place + 1 :])
            _draw_model(axes, one, {**style_of(label, results), "markersize": 4.5 + 2.5 * hidden})
        letters = next(iter(models.values())).letters
        lengths = sorted({length for one in models.values() for length in one.accuracy})
        needed = [length * log2(letters) for length in lengths]
        axes.plot(lengths, needed, "k--", lw=1.0, label="bits of the string")
        bottom = min(needed) / 2
        axes.fill_between(lengths, needed, bottom, color="black", alpha=0.08, linewidth=0)
        log_scale(axes, "x")
        log_scale(axes, "y")
        axes.set_ylim(bottom=bottom)
        axes.set_xlabel("length of the string in letters (filled: half copied)")
        axes.set_ylabel("bits of state (grey: impossible)")
        legend_beside(canvas, *axes.get_legend_handles_labels())
        return save_plot(canvas, out, "state")


def _draw_model(axes: "Axes", one: Model, style: dict[str, Any]) -> None:
    lengths = sorted(one.bits)
    axes.plot(lengths, [one.bits[n] for n in lengths], mfc="white", **style)
    copied = [n for n in lengths if one.accuracy[n] >= _HALF]
    filled = {name: style[name] for name in ("marker", "markersize", "color")}
    axes.plot(copied, [one.bits[n] for n in copied], ls="", **filled)


def _write(file: Annotated[Path, tyro.conf.Positional], out: Path) -> None:
    """Tabulate and plot the state of each model of a figure and the strings that it copies.

    Args:
        file: Results of a figure that tests copying by length.
        out: Folder for the table and the plot.
    """
    table = out / "state.md"
    refusal = "was not written by this command"
    check_written_by_us(table, _HEADER, refusal, "pass another folder with --out")
    results = results_of([file])
    models = models_of(results)
    text = as_text(models)
    made = [*draw(models, results, out), table]
    write_text(table, text)
    print(text + "\nwritten: " + ", ".join(map(str, made)))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the table and the plot for the file on the command line."""
    with command_errors():
        cli(_write, prog="python -m synthetic_training.figures.state", args=arguments)


if __name__ == "__main__":
    main()
