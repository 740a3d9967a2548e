"""A figure's table in Markdown, from its lines of results alone."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial

from tabulate import tabulate

from synthetic_training.figures.figure_file import Figure
from synthetic_training.figures.style import setting
from synthetic_training.figures.summary import (
    by_swept,
    by_test,
    examples_until,
    final_accuracy,
    final_loss,
    grouped,
    hours,
    label_of,
    last_length,
    lowest,
    panels_of,
    spread,
    swept_values,
)
from synthetic_training.training.run_log import Line

_REACHED = (0.5, 0.99)
"""String accuracies whose numbers of examples are shown."""


def report(figure: Figure, lines: Sequence[Line]) -> str:
    """A table of each panel, with what the runs took and what the paper found."""
    scale = lines[0]["scale"]
    known = figure.scales.get(scale)
    tables = _TABLES.get(figure.x, partial(_swept, name=figure.x))
    parts = [f"# {figure.title} ({scale})"]
    for panel in panels_of(lines, list(known.panels) if known else []):
        if panel:
            parts.append(f"## {panel}")
        parts += tables([line for line in lines if line["panel"] == panel])
    return "\n\n".join([*parts, _took(lines), f"The paper: {figure.paper}"]) + "\n"


def _examples(lines: Sequence[Line]) -> list[str]:
    lengths = sorted({last_length(line) for line in lines})
    rows = []
    for label, own in grouped(lines, label_of).items():
        rows.append(
            [
                *_about(label, own),
                *(_until(own, accuracy) for accuracy in _REACHED),
                _mean(final_accuracy(line) for line in own),
            ]
        )
    until = [f"examples until {accuracy}" for accuracy in _REACHED]
    headers = ["model", "parameters", "lr", "seeds", *until, "accuracy at the end"]
    measured = (
        f"String accuracy at length {' / '.join(map(str, lengths))}; mean ± standard deviation over seeds."
    )
    return [_markdown(rows, headers), measured]


def _lengths(lines: Sequence[Line]) -> list[str]:
    lengths = sorted({score["length"] for line in lines for score in line["tests"]})
    rows = []
    for label, own in grouped(lines, label_of).items():
        for test in dict.fromkeys(name for line in own for name in by_test(line)):
            scores = [by_test(line).get(test, {}) for line in own]
            found = [[one[length] for one in scores if length in one] for length in lengths]
            rows.append([*_about(label, own), test, *(_mean(values) for values in found)])
    headers = ["model", "parameters", "lr", "seeds", "test", *map(str, lengths)]
    longest = max(line["config"]["max_length"] for line in lines)
    measured = (
        f"String accuracy by length; trained on at most {longest} letters; "
        "mean ± standard deviation over seeds."
    )
    return [_markdown(rows, headers), measured]


def _swept(lines: Sequence[Line], name: str) -> list[str]:
    values = swept_values(lines, name)
    losses, accuracies = [], []
    for label, own in grouped(lines, lambda line: line["label"]).items():
        bands = by_swept(own, name, final_loss)
        best = f"{lowest(bands).x:g}" if bands else ""
        each = [[line for line in own if line["sweep"].get(name) == value] for value in values]
        losses.append([label, *(_mean((final_loss(line) for line in at), ".4f") for at in each), best])
        accuracies.append([label, *(_mean(final_accuracy(line) for line in at) for at in each)])
    headers = [f"{value:g}" for value in values]
    return [
        f"Training loss at the end, by {setting(name)}:",
        _markdown(losses, ["model", *headers, "lowest at"]),
        f"String accuracy at the end, by {setting(name)}:",
        _markdown(accuracies, ["model", *headers]),
    ]


_TABLES: dict[str, Callable[[Sequence[Line]], list[str]]] = {
    "examples": _examples,
    "length": _lengths,
}


def _about(label: str, lines: Sequence[Line]) -> list[str]:
    rates = sorted({line["config"]["lr"] for line in lines})
    sizes = sorted({line["parameters"] for line in lines})
    return [
        label,
        ", ".join(f"{one:,}" for one in sizes),
        ", ".join(f"{r:g}" for r in rates),
        str(len(lines)),
    ]


def _until(lines: Sequence[Line], accuracy: float) -> str:
    """Examples that it took the seeds, and how many never had this accuracy."""
    reached = [n for line in lines if (n := examples_until(line, accuracy)) is not None]
    missed = [line for line in lines if examples_until(line, accuracy) is None]
    never = f"not within {max((line['curve'][-1]['examples'] for line in missed), default=0):,}"
    if not reached:
        return never
    text = _mean(reached, ",.0f")
    return f"{text} ({len(missed)} of {len(lines)}: {never})" if missed else text


def _mean(values: Iterable[float], form: str = ".3f") -> str:
    numbers = list(values)
    if not numbers:
        return ""
    over = spread(numbers)
    return f"{over.mean:{form}}" + (f" ± {over.sd:{form}}" if over.count > 1 else "")


def _took(lines: Sequence[Line]) -> str:
    gpus = {line["machine"] for line in lines if line["config"]["device"] != "cpu"}
    parts = [
        f"{total:.3g} {'GPU' if machine in gpus else 'CPU'} hours of training ({count} runs, {machine})"
        for machine, (total, count) in sorted(hours(lines).items())
    ]
    return "; ".join(parts) + "."


def _markdown(rows: Sequence[Sequence[str]], headers: Sequence[str]) -> str:
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
