"""The number of training steps that fit into the remaining time, estimated from the duration of the sweep."""

from collections.abc import Sequence

from synthetic_training.figures.figure_file import Scale
from synthetic_training.figures.plan import Result, plan
from synthetic_training.figures.progress import tokens

_START = 15.0
"""Seconds for a process to import what it needs, and to write its documents."""
_SLACK = 1.4
"""Factor for runs that do not share out evenly over the GPUs, and for what was not foreseen."""
_LEAST, _MOST = 0.4, 1.6
"""Bounds of the steps, in units of those in the file."""


def steps_that_fit(
    sweep: Sequence[Result], sweep_seconds: float, seconds_left: float, models: Scale, source: str
) -> int:
    """The number of steps for each run, as a multiple of a tenth of the number in the figure's file.

    Args:
        sweep: all results of the sweep.
        sweep_seconds: duration of the sweep, from the start of its first run to the end of its last run.
        seconds_left: time for the runs of the models.
        models: the scale of the models' figure; its settings contain the number of steps.
        source: the figure's file, for error messages.
    """
    planned = plan(models, source)
    usual = planned[0].config.steps
    start = _START + min(
        result["seconds"] - result["tokens"] / result["tokens_per_second"] for result in sweep
    )
    seconds_per_token = max(sweep_seconds - start, 1.0) / sum(result["tokens"] for result in sweep)
    needed = sum(map(tokens, planned)) * seconds_per_token * _SLACK
    fitting = usual * (seconds_left - start) / needed
    bounded = min(max(fitting, _LEAST * usual), _MOST * usual)
    unit = max(1, usual // 10)
    return max(unit, int(bounded // unit) * unit)
