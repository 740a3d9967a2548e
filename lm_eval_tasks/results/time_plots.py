"""Plots of accuracy against seconds."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataset_builders.plotting import log_scale, save_plot
from lm_eval_tasks.results.cost_points import Taken, name_lengths, set_limits, span
from lm_eval_tasks.results.plots import RowStyle, draw_line, finish, quiet_style
from lm_eval_tasks.results.rows import row_labels
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.timing_record import Timing
from lm_eval_tasks.results.timing_table import machine_of, timed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SECONDS: tuple[tuple[str, Callable[[Timing], float]], ...] = (
    ("seconds to read the prompt", lambda timing: timing.prefill_seconds),
    ("seconds per generated token", lambda timing: timing.token_seconds),
)


def draw_by_time(
    benchmark: str, scores: Sequence[Score], style_of: Mapping[str, RowStyle], folder: Path
) -> list[Path]:
    """Draw the main metric by seconds to read the prompt, and by seconds per generated token.

    Each row of panels has its own batch size. If there are several machines, the legend names the machine of
    each model.

    Returns:
        ``BENCHMARK_by_time.png`` and ``.svg``; no files if no model was timed.

    Raises:
        InputError: a file cannot be written.
    """
    from matplotlib.figure import Figure

    shown = [(score, timing) for score, timing in timed(scores) if score.main_value is not None]
    if not shown:
        return []
    batches = sorted({timing.batch_size for _, timing in shown})
    machines = sorted({timing.machine for _, timing in shown})
    title = f"{benchmark}; beside the points: {shown[0][0].unit}"
    with quiet_style():
        figure = Figure(figsize=(9.6, 0.4 + 3.1 * len(batches)), layout="constrained")
        panels = figure.subplots(len(batches), len(_SECONDS), squeeze=False, sharey=True)
        for row, batch in zip(panels, batches, strict=True):
            own = [(score, timing) for score, timing in shown if timing.batch_size == batch]
            names = {score.label: machine_of(score.label, own, machines) for score, _ in own}
            for axes, (name, seconds) in zip(row, _SECONDS, strict=True):
                _frontier(axes, title, [(score, seconds(timing)) for score, timing in own], style_of, names)
                axes.set_xlabel(f"{name}, batch of {batch}, log scale")
            row[0].get_legend().remove()
            row[-1].set_title(f"on {machines[0]}" if len(machines) == 1 else "", loc="left")
            row[-1].set_ylabel("")
        return save_plot(figure, folder, f"{benchmark}_by_time")


def _frontier(
    axes: "Axes",
    title: str,
    points: Sequence[tuple[Score, float]],
    style_of: Mapping[str, RowStyle],
    names: Mapping[str, str],
) -> None:
    """Draw one line per model through its lengths, written next to the points, on a logarithmic axis.

    Args:
        axes: axes to draw in.
        title: title of the axes.
        points: scores with their seconds.
        style_of: styles by label.
        names: text in the legend by label.
    """
    scores, seconds = [score for score, _ in points], [x for _, x in points]
    most, ratio = max(score.documents for score in scores), span(seconds)
    taken: list[Taken] = []
    for label in row_labels(scores):
        own = [score for score in scores if score.label == label]
        places = [x for score, x in points if score.label == label]
        draw_line(axes, places, own, style_of[label], names[label], most)
        name_lengths(axes, own, places, ratio, taken, style_of[label].colour)
    log_scale(axes, "x")
    finish(axes, scores[0].main_metric or "", scores, title)
    set_limits(axes, seconds)
