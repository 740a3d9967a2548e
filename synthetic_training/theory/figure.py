"""Plots measured accuracy with the theory's bounds, and bits of state with the bits of the string."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_builders import InputError
from dataset_builders.checks import is_integer
from dataset_builders.files import read_json
from dataset_builders.plotting import log_scale, plot_style, save_plot
from synthetic_training.evaluation.plot import Point, error_bars, read_points
from synthetic_training.theory.bounds import half_error_length, log2_accuracy_bound, repeated_ngram_proportion

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

_STRINGS = 1000
"""Number of random strings per length, for the curve of the construction."""


@dataclass(frozen=True)
class Measured:
    """A file written by ``evaluate``.

    Attributes:
        name: name of the file, without its extension.
        points: string accuracy by length.
        letters: D, the number of different letters in the strings.
        bits: size in bits of the model's state after a string and its two special tokens, by length of the
            string; empty if the checkpoint no longer exists, or if the model does not show its state.
    """

    name: str
    points: list[Point]
    letters: int
    bits: dict[int, int]


def draw(sources: Sequence[Path], out: Path, n: int, *, trust_remote_code: bool = False) -> list[Path]:
    """Plot ``theory.png`` and ``theory.svg``.

    Args:
        sources: JSON files written by ``python -m synthetic_training evaluate --out`` for the copy task.
        out: folder for the plots.
        n: length of the n-grams of the construction whose guarantee is plotted.
        trust_remote_code: whether code in the models' folders may run.

    Returns:
        The files that were written.

    Raises:
        InputError: a file is not an evaluation of the copy task, the alphabets differ, or the folder cannot
            be written.
    """
    measured = [_read(source, trust_remote_code) for source in sources]
    alphabets = {one.letters for one in measured}
    if len(alphabets) != 1:
        raise InputError(f"the files must have the same alphabet; these have {sorted(alphabets)} letters")
    with plot_style():
        return save_plot(_figure(measured, alphabets.pop(), n), out, "theory")


def _read(source: Path, trust_remote_code: bool = False) -> Measured:
    if source.is_dir():
        raise InputError(f"{source} is a folder; pass a file written by evaluate")
    points = read_points(source, source.stem)
    config = read_json(source).get("config")
    letters = config.get("vocabulary") if isinstance(config, dict) else None
    if not isinstance(config, dict) or config.get("task") != "copy" or not is_integer(letters):
        raise InputError(f"{source} is not an evaluation of the copy task")
    lengths = sorted({point.length for point in points})
    checkpoint = Path(str(config.get("checkpoint")))
    return Measured(source.stem, points, letters, _state(checkpoint, lengths, trust_remote_code))


def _state(checkpoint: Path, lengths: Sequence[int], trust_remote_code: bool) -> dict[int, int]:
    """Bits of the state by length; empty without a checkpoint, or if the model does not show its state."""
    import torch

    from synthetic_training.evaluation.saved_model import model_folder
    from synthetic_training.models.registry import build_model
    from synthetic_training.theory.state import state_bits

    try:
        folder = model_folder(checkpoint)
    except InputError:
        return {}
    with torch.device("meta"):
        model = build_model(str(folder), {}, trust_remote_code=trust_remote_code)
    try:
        return {length: state_bits(model, length + 2) for length in lengths}
    except InputError as error:
        log.warning("the bits of state of %s are not plotted: %s", checkpoint, error)
        return {}


def _figure(measured: Sequence[Measured], letters: int, n: int) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    _accuracy(left, measured, letters, n)
    _states(right, measured, letters)
    for axes in (left, right):
        log_scale(axes, "x")
        axes.set_xlabel("length L (letters)")
        axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
    return figure


def _accuracy(axes: Axes, measured: Sequence[Measured], letters: int, n: int) -> None:
    for color, one in enumerate(measured):
        line = sorted(one.points, key=lambda point: point.length)
        x, y = [p.length for p in line], [p.accuracy for p in line]
        axes.errorbar(x, y, yerr=error_bars(line), marker="o", capsize=3, color=f"C{color}", label=one.name)
        if _constant(one.bits):
            bits = next(iter(one.bits.values()))
            axes.plot(
                *_most(bits, letters), "--", color=f"C{color}", label=f"bound for {bits:,} bits of state"
            )
    lengths = [x for x in sorted({p.length for one in measured for p in one.points}) if x >= 2 * n]
    if lengths:
        least = [1 - repeated_ngram_proportion(letters, n, x, _STRINGS).mean for x in lengths]
        axes.plot(lengths, least, ":", color="black", label=f"guaranteed by the construction, n = {n}")
    axes.set_ylabel("string accuracy (bars: 95% intervals)")
    axes.set_ylim(-0.03, 1.03)


def _most(bits: int, letters: int) -> tuple[list[int], list[float]]:
    """Lengths around the drop of Theorem 2.7's bound on the accuracy, and the bound at these lengths."""
    falls = half_error_length(bits, letters)
    # each letter at least halves the bound: it is 1 up to the drop, and nearly 0 a few letters later
    lengths = sorted({1, *range(max(1, falls - 12), falls + 13), 2 * falls})
    return lengths, [2 ** max(-1000.0, log2_accuracy_bound(bits, letters, x)) for x in lengths]


def _states(axes: Axes, measured: Sequence[Measured], letters: int) -> None:
    lengths = sorted({p.length for one in measured for p in one.points})
    for color, one in enumerate(measured):
        if one.bits:
            axes.plot([*one.bits], [*one.bits.values()], "o-", color=f"C{color}", label=one.name)
    needed = [x * math.log2(letters) for x in lengths]
    axes.plot(lengths, needed, "--", color="black", label="the string: L log2 D")
    log_scale(axes, "y")
    axes.set_ylabel("bits of state after the string")


def _constant(bits: dict[int, int]) -> bool:
    """Whether the state has the same size at all of several lengths, so that it is taken to be constant."""
    return len(bits) > 1 and len(set(bits.values())) == 1
