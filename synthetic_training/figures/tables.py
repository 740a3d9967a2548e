"""A figure's table in Markdown, only from its results."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import isnan

from dataset_builders.markdown import markdown_table
from synthetic_training.figures.figure_file import Figure
from synthetic_training.figures.plan import Result, short
from synthetic_training.figures.style import setting_title
from synthetic_training.figures.summary import (
    accuracy_name,
    best_of,
    by_swept,
    by_test,
    evaluation_grid,
    examples_until,
    final_accuracy,
    final_loss,
    geometric_mean,
    grouped,
    hours,
    label_of,
    last_length,
    lowest,
    panels_of,
    spread,
    swept_values,
)

_REACHED = (0.5, 0.99)
"""String accuracies for which the number of training examples is shown."""


def report(figure: Figure, results: Sequence[Result]) -> str:
    """One table per panel, with the hours of training and the paper's finding."""
    scale = results[0]["scale"]
    known = figure.scales.get(scale)
    tables = _TABLES.get(figure.x, partial(_swept, name=figure.x))
    if figure.best_of is not None:
        tables = partial(_best, name=figure.x, over=figure.best_of)
    parts = [f"# {figure.title} ({scale})"]
    for panel in panels_of(results, list(known.panels) if known else []):
        if panel:
            parts.append(f"## {panel}")
        parts += tables([result for result in results if result["panel"] == panel])
    return "\n\n".join([*parts, _took(results), f"The paper: {figure.paper}"]) + "\n"


def _examples(results: Sequence[Result]) -> list[str]:
    lengths = sorted({last_length(result) for result in results})
    rows = []
    for label, own in grouped(results, label_of).items():
        rows.append(
            [
                *_about(label, own),
                *(_until(own, accuracy) for accuracy in _REACHED),
                f"{evaluation_grid(own):,.0f}",
                _mean(final_accuracy(result) for result in own),
            ]
        )
    until = [f"examples until {accuracy}" for accuracy in _REACHED]
    headers = ["model", "parameters", "lr", "seeds", *until, "evaluated every", "accuracy at the end"]
    measured = (
        f"String accuracy at length {' / '.join(map(str, lengths))}. Examples are interpolated between "
        "evaluations: geometric mean over the seeds that got there, with a 95% confidence interval "
        "(Student's t) if all did. Accuracy: mean ± standard deviation over seeds."
    )
    return [markdown_table(headers, rows), measured]


def _lengths(results: Sequence[Result]) -> list[str]:
    lengths = sorted({score["length"] for result in results for score in result["tests"]})
    tests = list(dict.fromkeys(test for result in results for test in by_test(result)))
    if len(lengths) == 1 and len(tests) > 1:
        return _tests(results, tests, lengths[0])
    rows = []
    for label, own in grouped(results, label_of).items():
        for test in dict.fromkeys(name for result in own for name in by_test(result)):
            scores = [by_test(result).get(test, {}) for result in own]
            found = [[one[length] for one in scores if length in one] for length in lengths]
            rows.append([*_about(label, own), test, *(_mean(values) for values in found)])
    headers = ["model", "parameters", "lr", "seeds", "test", *map(str, lengths)]
    longest = max(result["config"]["max_length"] for result in results)
    measured = (
        f"String accuracy by length; trained on at most {longest} letters; "
        "mean ± standard deviation over seeds."
    )
    return [markdown_table(headers, rows), measured]


def _tests(results: Sequence[Result], tests: Sequence[str], length: int) -> list[str]:
    """Several tests at one length, with one column per test."""
    rows = []
    for label, own in grouped(results, label_of).items():
        scores = [by_test(result) for result in own]
        found = [[one[test][length] for one in scores if test in one] for test in tests]
        rows.append([*_about(label, own), *(_mean(values) for values in found)])
    trained = max(result["config"]["max_length"] for result in results)
    measured = (
        f"String accuracy at length {length}, by test; trained on at most {trained} letters; "
        "mean ± standard deviation over seeds."
    )
    return [markdown_table(["model", "parameters", "lr", "seeds", *tests], rows), measured]


def _swept(results: Sequence[Result], name: str) -> list[str]:
    values = swept_values(results, name)
    losses, accuracies = [], []
    swept = [result for result in results if name in result["sweep"]]
    for label, own in grouped(swept, lambda result: label_of(result, name)).items():
        bands = by_swept(own, name, final_loss)
        best = f"{lowest(bands).x:g}" if bands else ""
        each = [[result for result in own if result["sweep"].get(name) == value] for value in values]
        losses.append([label, *map(_loss, each), best])
        accuracies.append([label, *(_mean(final_accuracy(result) for result in at) for at in each)])
    headers = [f"{value:g}" for value in values]
    return [
        f"Training loss at the end, by {setting_title(name)}:",
        markdown_table(["model", *headers, "lowest at"], losses),
        f"{accuracy_name(results).capitalize()} at the end, by {setting_title(name)}:",
        markdown_table(["model", *headers], accuracies),
    ]


def _best(results: Sequence[Result], name: str, over: str) -> list[str]:
    values = swept_values(results, name)
    accuracies, best = [], []
    for label, own in grouped(best_of(results, over), lambda result: label_of(result, name, over)).items():
        each = [[result for result in own if result["sweep"].get(name) == value] for value in values]
        accuracies.append([label, *(_mean(final_accuracy(result) for result in at) for at in each)])
        best.append([label, *(short(at[0]["sweep"][over]) if at else "" for at in each)])
    headers = ["model", *(f"{value:g}" for value in values)]
    what = accuracy_name(results).capitalize()
    return [
        f"{what} at the end, by {setting_title(name)}, with the best {setting_title(over)}:",
        markdown_table(headers, accuracies),
        f"Best {setting_title(over)}:",
        markdown_table(headers, best),
    ]


_TABLES: dict[str, Callable[[Sequence[Result]], list[str]]] = {
    "examples": _examples,
    "length": _lengths,
}


def _about(label: str, results: Sequence[Result]) -> list[str]:
    rates = sorted({result["config"]["lr"] for result in results})
    sizes = sorted({result["parameters"] for result in results})
    return [
        label,
        ", ".join(f"{one:,}" for one in sizes),
        ", ".join(f"{r:g}" for r in rates),
        str(len(results)),
    ]


def _until(results: Sequence[Result], accuracy: float) -> str:
    """Number of examples until this accuracy, with an interval over seeds, or how many never reached it.

    Runs that never reached it may differ in length. Their number of examples is then that of the shortest.
    """
    reached = [n for result in results if (n := examples_until(result, accuracy)) is not None]
    missed = [result for result in results if examples_until(result, accuracy) is None]
    never = f"not within {min((result['curve'][-1]['examples'] for result in missed), default=0):,}"
    if not reached:
        return never
    found, low, high = geometric_mean(reached)
    text = f"{found:,.0f}"
    if missed:  # an interval over the seeds that reached it would be too low
        return f"{text} ({len(missed)} of {len(results)}: {never})"
    return text if len(reached) == 1 else f"{text} ({low:,.0f} to {high:,.0f})"


def _loss(results: Sequence[Result]) -> str:
    losses = [final_loss(result) for result in results]
    diverged = sum(map(isnan, losses))
    return f"{diverged} of {len(losses)} diverged" if diverged else _mean(losses, ".4f")


def _mean(values: Iterable[float], form: str = ".3f") -> str:
    numbers = list(values)
    if not numbers:
        return ""
    over = spread(numbers)
    return f"{over.mean:{form}}" + (f" ± {over.sd:{form}}" if over.count > 1 else "")


def _took(results: Sequence[Result]) -> str:
    gpus = {result["machine"] for result in results if result["config"]["device"] != "cpu"}
    parts = [
        f"{total:.3g} {'GPU' if machine in gpus else 'CPU'} hours of training ({count} runs, {machine})"
        for machine, (total, count) in sorted(hours(results).items())
    ]
    return "; ".join(parts) + "."
