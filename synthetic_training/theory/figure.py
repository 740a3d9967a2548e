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
from dataset_builders.plotting import legend_beside, log_scale, plot_style, save_plot
from synthetic_training.evaluation.plot import Point, error_bars, read_points
from synthetic_training.figures.style import Style, style_of
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
        architecture: the ``--model`` that was trained; None for other checkpoints.
        points: string accuracy by length.
        letters: D, the number of different letters in the strings.
        bits: size in bits of the model's state after a string and its two special tokens, by length of the
            string; empty if the checkpoint no longer exists, or if the model does not show its state.
    """

    name: str
    architecture: str | None
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
        InputError: no file is named, a file is not an evaluation of the copy task, the alphabets differ, or
            the folder cannot be written.
    """
    if not sources:
        raise InputError("no file is named; pass files written by evaluate --out")
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
    content = read_json(source)
    config, training = content.get("config"), content.get("training")
    letters = config.get("vocabulary") if isinstance(config, dict) else None
    if not isinstance(config, dict) or config.get("task") != "copy" or not is_integer(letters):
        raise InputError(f"{source} is not an evaluation of the copy task")
    if config.get("k") is not None:
        raise InputError(
            f"{source} has copies of the first {config['k']} letters; the theory is about whole strings"
        )
    lengths = sorted({point.length for point in points})
    checkpoint = Path(str(config.get("checkpoint")))
    bits = _state(checkpoint, lengths, trust_remote_code)
    architecture = training.get("model") if isinstance(training, dict) else None
    return Measured(source.stem, architecture, points, letters, bits)


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

    figure = Figure(figsize=(6.6, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    drawn = list(zip(measured, _styles(measured), strict=True))
    _accuracy(left, drawn, letters, n)
    _states(right, drawn, letters)
    for axes in (left, right):
        log_scale(axes, "x")
        axes.set_xlabel("length L (letters)")
    handles = {
        label: handle
        for axes in (left, right)
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    legend_beside(figure, handles.values(), handles.keys())
    return figure


def _styles(measured: Sequence[Measured]) -> list[Style]:
    """Colour, marker and name of each model: those of its architecture, if no other model has the same."""
    architectures = [one.architecture for one in measured]
    labels = [
        one.architecture if one.architecture and architectures.count(one.architecture) == 1 else one.name
        for one in measured
    ]
    return [style_of(label, [{"label": other} for other in labels]) for label in labels]


def _accuracy(axes: Axes, drawn: Sequence[tuple[Measured, Style]], letters: int, n: int) -> None:
    for one, style in drawn:
        line = sorted(one.points, key=lambda point: point.length)
        x, y = [p.length for p in line], [p.accuracy for p in line]
        axes.errorbar(x, y, yerr=error_bars(line), capsize=3, **style)
        if _constant(one.bits):
            bits = next(iter(one.bits.values()))
            bound = f"bound for {bits:,} bits of state"
            axes.plot(*_most(bits, letters), "--", color=style["color"], label=bound)
    lengths = [x for x in sorted({p.length for one, _ in drawn for p in one.points}) if x >= 2 * n]
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


def _states(axes: Axes, drawn: Sequence[tuple[Measured, Style]], letters: int) -> None:
    lengths = sorted({p.length for one, _ in drawn for p in one.points})
    for one, style in drawn:
        if one.bits:
            axes.plot([*one.bits], [*one.bits.values()], **style)
    needed = [x * math.log2(letters) for x in lengths]
    axes.plot(lengths, needed, "--", color="black", label="the string: L log2 D")
    log_scale(axes, "y")
    axes.set_ylabel("bits of state after the string")


def _constant(bits: dict[int, int]) -> bool:
    """Whether the state has the same size at all of several lengths, so that it is taken to be constant."""
    return len(bits) > 1 and len(set(bits.values())) == 1
