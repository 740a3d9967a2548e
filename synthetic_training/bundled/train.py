"""``train``: the sweep, then each model at its best learning rate, within a number of minutes.

::

    OUT/trio_learning_rates_SCALE.jsonl, .md, .png   the sweep
    OUT/trio.yaml                                    the figure of the models, with rates and steps
    OUT/trio_SCALE.jsonl, .md, .png                  the models
    OUT/runs/LABEL-HASH/                             a run each, with its model
"""

import sys
import time
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.interruption import TimeIsOver
from synthetic_training.bundled.fitting import steps_that_fit
from synthetic_training.bundled.recipe import SWEEP, TRIO, best_rates, scale_of, write_choices
from synthetic_training.figures.figure_file import figure_path
from synthetic_training.figures.plan import Result, plan
from synthetic_training.figures.reproduce import reproduce
from synthetic_training.figures.results import read_results

_OF_THE_SWEEP = 0.5
"""Fraction of the minutes after which the sweep ends, with what it has."""


def train(
    out: Path,
    scale: str,
    *,
    minutes: float | None = None,
    steps: int | None = None,
    per_gpu: int = 2,
    sweep_per_gpu: int = 3,
    revision: str | None = None,
    resume: bool = False,
) -> None:
    """Run the sweep and then the models' runs, except those that are already finished.

    A failed run does not stop the others. The first seed of every model is trained before the other seeds.

    Args:
        out: folder for runs and results.
        scale: scale of both figures.
        minutes: time limit for everything; running runs then save a checkpoint and end. None for no limit.
        steps: training steps of each model's runs; by default as many as fit into the time limit, or the
            number in the file if there is no limit or the sweep had started in an earlier call.
        per_gpu: number of the models' runs that share a GPU.
        sweep_per_gpu: number of the sweep's runs that share a GPU.
        revision: revision of this code, to replace git's answer.
        resume: whether to continue with the content of ``out``.

    Raises:
        InputError: ``out`` contains results or unfinished runs, and ``resume`` is not set; or runs failed.
        Interrupted: Ctrl-C or SIGTERM; results and checkpoints are kept.
        TimeIsOver: the minutes are over; results and checkpoints are kept.
    """
    begun = time.monotonic()

    def left() -> float | None:
        return None if minutes is None else minutes - (time.monotonic() - begun) / 60

    failures: list[str] = []
    chosen, results = out / f"{TRIO}.yaml", out / f"{SWEEP}_{scale}.jsonl"
    if chosen.exists() and not resume:
        raise InputError(f"{chosen} exists; pass --resume to continue, or another --out")
    if not chosen.exists():
        fresh = not results.exists()
        try:
            part = None if minutes is None else minutes * _OF_THE_SWEEP
            reproduce(
                SWEEP, scale, out=out, resume=resume, per_gpu=sweep_per_gpu, minutes=part, revision=revision
            )
        except InputError as error:
            if not results.exists():
                raise
            failures.append(str(error))
        except TimeIsOver:
            if not results.exists():
                raise
            fresh = False
        took = time.monotonic() - begun if fresh and not failures else None
        _choose(chosen, scale, read_results(results), steps, took, left())
    models = list(best_rates(read_results(results)))
    try:
        reproduce(
            str(chosen),
            scale,
            models=models,
            out=out,
            resume=True,
            per_gpu=per_gpu,
            minutes=left(),
            revision=revision,
        )
    except InputError as error:
        failures.append(str(error))
    if failures:
        raise InputError("; ".join(failures))


def _choose(
    chosen: Path, scale: str, sweep: list[Result], steps: int | None, took: float | None, left: float | None
) -> None:
    """Write the figure file of the models, with the selected learning rates."""
    file = figure_path(TRIO)
    models = scale_of(TRIO, scale)
    if steps is None and took is not None and left is not None:
        steps = steps_that_fit(sweep, took, 60 * left, models, str(file))
    if steps is None:
        steps = plan(models, str(file))[0].config.steps
    rates = best_rates(sweep)
    write_choices(file, chosen, scale, rates, steps)
    told = ", ".join(f"{label} {rate:g}" for label, rate in rates.items())
    print(f"learning rates with the lowest loss: {told}; {steps} steps", flush=True, file=sys.stdout)
