"""A table and a plot of accuracy by length, one line a model."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from tabulate import tabulate

from dataset_builders import InputError
from dataset_builders.plotting import save_plot
from lm_eval_tasks.results.reader import MAIN_METRICS, Score


def by_benchmark(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """The scores of each benchmark; they come sorted."""
    return {name: list(group) for name, group in groupby(scores, key=lambda s: s.benchmark)}


def table(scores: Sequence[Score]) -> str:
    """Every metric of one benchmark as a Markdown table: models down, lengths across.

    A cell is the mean ± its standard error; a star marks scores with truncated documents.
    """
    lengths = sorted({score.length for score in scores})
    cells = {(s.model, m, s.length): _cell(s, m) for s in scores for m in s.values}
    rows = [
        [model, metric, *(cells.get((model, metric, length), "") for length in lengths)]
        for model in dict.fromkeys(s.model for s in scores)
        for metric in dict.fromkeys(m for s in scores if s.model == model for m in s.values)
    ]
    unit = scores[0].unit
    text = tabulate(
        rows, ["model", "metric", *(f"{n} {unit}" for n in lengths)], tablefmt="github", disable_numparse=True
    )
    counts = sorted({score.documents for score in scores})
    text += f"\n\n{_range(counts)} documents for each length."
    if any(score.truncated for score in scores):
        text += " * Some documents did not fit the model's window (truncated) and count as wrong."
    mixed = [n for n in lengths if len({s.document_set for s in scores if s.length == n}) > 1]
    if mixed:
        text += (
            f" The models were asked different documents at {', '.join(map(str, mixed))} {unit} "
            "(another seed or number), so their scores there cannot be compared exactly."
        )
    if any("truncated" not in score.values for score in scores):
        text += " Where 'truncated' is missing, lm-eval could not tell the model's window."
    return text


def _range(counts: Sequence[int]) -> str:
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _cell(score: Score, metric: str) -> str:
    mean, error = score.values[metric]
    if metric == "truncated":
        return f"{mean:.3f}"
    text = f"{mean:.3f}" if error is None else f"{mean:.3f} ± {error:.3f}"
    return f"{text} *" if score.truncated else text


def draw(benchmark: str, scores: Sequence[Score], folder: Path) -> list[Path]:
    """Draw accuracy by length with error bars as ``BENCHMARK.png`` and ``.svg``; return the files.

    Hollow points have truncated documents.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    metric = scores[0].main_metric
    if metric is None:
        raise InputError(f"{benchmark} has none of the metrics {', '.join(MAIN_METRICS)} to draw")

    mpl.rcParams["svg.hashsalt"] = "repeat-after-me"  # the same scores give the same file
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    for model, group in groupby(sorted(scores, key=lambda s: s.model), key=lambda s: s.model):
        points = sorted(group, key=lambda s: s.length)
        x = [p.length for p in points]
        y = [p.values[metric][0] for p in points]
        errors = [p.values[metric][1] or 0.0 for p in points]
        line = axes.errorbar(x, y, yerr=errors, marker="o", capsize=3, label=model).lines[0]
        hollow = [(p.length, p.values[metric][0]) for p in points if p.truncated]
        if hollow:
            axes.plot(*zip(*hollow, strict=True), "o", color="white", mec=line.get_color(), zorder=3)

    lengths = sorted({score.length for score in scores})
    if lengths[-1] > 8 * lengths[0]:
        axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel(f"length ({scores[0].unit})")
    axes.set_ylabel(metric.replace("_", " "))
    truncated = any(score.truncated for score in scores)
    axes.set_title(benchmark + ("  (hollow: truncated by the window)" if truncated else ""))
    axes.grid(alpha=0.3)
    axes.legend()
    return save_plot(figure, folder, benchmark)
