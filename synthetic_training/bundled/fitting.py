"""The number of training steps that fit into the remaining time, estimated from the duration of the sweep."""

import heapq
from collections.abc import Iterable, Sequence
from statistics import median

from synthetic_training.figures.figure_file import Scale
from synthetic_training.figures.plan import Result, plan
from synthetic_training.figures.progress import tokens

_SLACK = 1.15
"""Safety factor for runs that are unevenly distributed over the GPUs, and for unforeseen delays."""
_LEAST, _MOST = 0.4, 1.6
"""Minimum and maximum number of steps, relative to the number in the figure's file."""


def steps_that_fit(
    sweep: Sequence[Result],
    sweep_seconds: float,
    at_once: int,
    seconds_left: float,
    models: Scale,
    source: str,
) -> int:
    """The number of steps for each run, as a multiple of a tenth of the number in the figure's file.

    The start of a run takes a time that does not depend on its steps: its process starts and makes documents,
    and the model is compiled. This time is counted once, because later runs compile while others train. For
    the remaining time, all GPUs together are assumed to train at the speed of the sweep.

    Args:
        sweep: all results of the sweep.
        sweep_seconds: duration of the sweep, from the start of its first run to the end of its last run.
        at_once: number of runs of the sweep that ran at the same time.
        seconds_left: time for the runs of the models.
        models: the scale of the models' figure; its settings contain the number of steps.
        source: the figure's file, for error messages.
    """
    planned = plan(models, source)
    usual = planned[0].config.steps
    seconds: list[float] = [result["seconds"] for result in sweep]
    waves = -(-len(sweep) // at_once)
    # a run's seconds do not include the start of its process or the generation of its documents
    before = max(0.0, sweep_seconds - _duration(seconds, at_once)) / waves
    # the median over runs, because each value is rough: it uses a run's median speed, and runs share GPUs
    compiling = median(
        max(0.0, result["seconds"] - result["tokens"] / result["tokens_per_second"]) for result in sweep
    )
    start = before + compiling
    seconds_per_token = max(sweep_seconds - start, 1.0) / sum(result["tokens"] for result in sweep)
    needed = sum(map(tokens, planned)) * seconds_per_token * _SLACK
    fitting = usual * (seconds_left - start) / needed
    bounded = min(max(fitting, _LEAST * usual), _MOST * usual)
    unit = max(1, usual // 10)
    return max(unit, int(bounded // unit) * unit)


def _duration(seconds: Iterable[float], at_once: int) -> float:
    """Seconds until all runs have ended, if each starts as soon as fewer than ``at_once`` are in progress."""
    free = [0.0] * at_once
    for one in seconds:
        heapq.heapreplace(free, free[0] + one)
    return max(free)
