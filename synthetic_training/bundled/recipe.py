"""The settings of the bundled models: two figure files, and the learning rates selected by the sweep."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from dataset_builders import InputError
from synthetic_training.figures.figure_file import Scale, figure_path, read_figure
from synthetic_training.figures.plan import Result
from synthetic_training.figures.summary import grouped, ranked_loss

SWEEP = "trio_learning_rates"
"""The figure whose runs are the sweep of learning rates."""
TRIO = "trio"
"""The figure whose runs are the models, several seeds each."""


def scale_of(figure: str, scale: str) -> Scale:
    """One scale of a figure.

    Raises:
        InputError: the figure has no such scale.
    """
    scales = read_figure(figure_path(figure)).scales
    for name, content in scales.items():
        if name == scale:
            return content
    raise InputError(f"{figure} has no scale {scale!r}; its scales are {', '.join(scales)}")


def best_rates(sweep: Sequence[Result]) -> dict[str, float]:
    """The learning rate with the lowest training loss at the end of the sweep, for each model.

    The sweep trains on each row once, so the training loss is the loss on unseen rows.
    """
    groups = grouped(sweep, lambda result: str(result["label"]))
    return {label: float(min(own, key=ranked_loss)["sweep"]["lr"]) for label, own in groups.items()}


def best_run(results: Sequence[Result]) -> Result:
    """The run of one model with the highest mean string accuracy over the evaluated lengths.

    Of runs with the same accuracy, the run with the lowest training loss is returned.
    """
    return max(results, key=lambda result: (mean_accuracy(result), -ranked_loss(result)))


def mean_accuracy(result: Result) -> float:
    """Mean string accuracy over the evaluated lengths after training."""
    return fmean(accuracies(result).values())


def accuracies(result: Result) -> dict[int, float]:
    """String accuracy after training by length."""
    last = result["curve"][-1]["step"]
    return {p["length"]: p["string_accuracy"] for p in result["curve"] if p["step"] == last}


def with_choices(text: str, scale: str, rates: Mapping[str, float], steps: int) -> str:
    """The text of ``trio.yaml`` with new learning rates and a new number of steps for one scale.

    Raises:
        InputError: the text has no line for one of these values.
    """
    lines, changed = text.split("\n"), set()
    place: str | None = None
    label = ""
    for i, line in enumerate(lines):
        if scale_line := re.fullmatch(r"  (\w+):", line):
            place = scale_line[1]
        elif place != scale:
            continue
        elif model := re.fullmatch(r"      (\w+):", line):
            label = model[1]
        elif re.match(r"      steps: ", line):
            lines[i] = f"      steps: {steps}"
            changed.add("steps")
        elif re.match(r"        lr: ", line) and label in rates:
            lines[i] = f"        lr: {rates[label]:g}"
            changed.add(label)
    missing = {"steps", *rates} - changed
    if missing:
        raise InputError(f"{TRIO}.yaml has no line for {', '.join(sorted(missing))} at the scale {scale}")
    return "\n".join(lines)


def write_choices(file: Path, out: Path, scale: str, rates: Mapping[str, float], steps: int) -> None:
    """Write the result of ``with_choices`` to a file, which may be the source itself."""
    from dataset_builders.files import write_text

    write_text(out, with_choices(file.read_text(encoding="utf-8"), scale, rates, steps))
