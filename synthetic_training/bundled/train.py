"""``train``: the sweep, then each model at its best learning rate, within a number of minutes.

::

    OUT/trio_learning_rates_SCALE.jsonl, .md, .png   the sweep
    OUT/trio.yaml                                    the models' figure file, with learning rates and steps
    OUT/trio_SCALE.jsonl, .md, .png                  the models
    OUT/runs/LABEL-HASH/                             the folder of a run, with its model
"""

import shlex
import sys
import time
from functools import partial
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.checks import check_integer, check_positive
from dataset_builders.interruption import TimeLimitReached
from dataset_builders.workers import worker_slots
from synthetic_training.bundled.fitting import steps_that_fit
from synthetic_training.bundled.recipe import SWEEP, TRIO, best_rates, scale_of, write_choices
from synthetic_training.figures.figure_file import figure_path
from synthetic_training.figures.plan import Result, plan
from synthetic_training.figures.reproduce import RunsFailed, reproduce
from synthetic_training.figures.results import read_results

_OF_THE_SWEEP = 0.5
"""Fraction of the time limit after which the sweep ends, even if it is not complete."""


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
        minutes: time limit for everything; runs in progress then save a checkpoint and end. None for no
            limit.
        steps: training steps of each model's runs (default: as many as fit into the time limit; the number in
            the file if there is no limit, or if the sweep started in an earlier call).
        per_gpu: number of the models' runs that share a GPU.
        sweep_per_gpu: number of the sweep's runs that share a GPU.
        revision: revision of this code to record (default: from git).
        resume: whether to continue with the content of ``out``.

    Raises:
        InputError: a number is not above 0; ``steps`` is not larger than the number of warm-up steps, or
            differs from that of the runs to continue; ``out`` contains results or unfinished runs, and
            ``resume`` is not set; another process is working there; a model has no run in the sweep; or runs
            failed.
        Interrupted: Ctrl-C or SIGTERM; results and checkpoints are kept.
        TimeLimitReached: the time limit is reached; results and checkpoints are kept.
    """
    begun = time.monotonic()

    def left() -> float | None:
        return None if minutes is None else minutes - (time.monotonic() - begun) / 60

    if minutes is not None:
        check_positive("minutes", minutes)
    for name, value in (("per_gpu", per_gpu), ("sweep_per_gpu", sweep_per_gpu)):
        check_integer(name, value, 1)
    failures: list[str] = []
    chosen, results = out / f"{TRIO}.yaml", out / f"{SWEEP}_{scale}.jsonl"
    for file in (chosen, results):
        if file.exists() and not resume:
            raise InputError(f"{file} exists; pass --resume to continue, or another --out")
    if steps is not None:
        _check_steps(steps, scale, chosen)
    command = ["python", "-m", "synthetic_training.bundled", "train", "--out", str(out), "--scale", scale]
    command += [] if minutes is None else ["--minutes", f"{minutes:g}"]
    command += [] if steps is None else ["--steps", str(steps)]
    command += ["--per-gpu", str(per_gpu), "--sweep-per-gpu", str(sweep_per_gpu)]
    command += [] if revision is None else ["--revision", revision]
    do = partial(reproduce, scale=scale, out=out, revision=revision, again=shlex.join([*command, "--resume"]))
    if not chosen.exists():
        fresh = not results.exists()
        try:
            part = None if minutes is None else minutes * _OF_THE_SWEEP
            do(SWEEP, resume=resume, per_gpu=sweep_per_gpu, minutes=part)
        except RunsFailed as error:
            if not results.exists():
                raise
            failures.append(str(error))
        except TimeLimitReached:
            if not results.exists():
                raise
            fresh = False
        took = time.monotonic() - begun if fresh and not failures else None
        if steps is None:
            at_once = len(worker_slots(True, sweep_per_gpu))
            steps = _fitting(scale, read_results(results), took, at_once, left())
        _choose(chosen, scale, read_results(results), steps)
    models = list(best_rates(read_results(results)))
    missing = [label for label in scale_of(TRIO, scale).runs if label not in models]
    if missing:
        failures.append(
            f"not trained, because none of their runs in the sweep has ended: {', '.join(missing)}; pass "
            "more minutes and another --out"
        )
    try:
        do(str(chosen), models=models, resume=True, per_gpu=per_gpu, minutes=left())
    except RunsFailed as error:
        failures.append(str(error))
    if failures:
        raise InputError("; ".join(failures))


def _check_steps(steps: int, scale: str, chosen: Path) -> None:
    """Raise InputError unless the models can be trained for this number of steps."""
    file = chosen if chosen.exists() else figure_path(TRIO)
    for run in plan(scale_of(str(file), scale), str(file)):
        if steps <= run.config.warmup:
            raise InputError(f"steps must be more than the {run.config.warmup} warm-up steps, not {steps}")
        if chosen.exists() and steps != run.config.steps:
            raise InputError(
                f"the runs in {chosen} have {run.config.steps} steps, not {steps}; omit --steps, or pass "
                "another --out"
            )


def _fitting(scale: str, sweep: list[Result], took: float | None, at_once: int, left: float | None) -> int:
    """The number of steps that fit into the remaining minutes, or the file's if it cannot be estimated."""
    file, models = figure_path(TRIO), scale_of(TRIO, scale)
    if took is None or left is None:
        return plan(models, str(file))[0].config.steps
    return steps_that_fit(sweep, took, at_once, 60 * left, models, str(file))


def _choose(chosen: Path, scale: str, sweep: list[Result], steps: int) -> None:
    """Write the models' figure file with the selected learning rates and number of steps."""
    rates = best_rates(sweep)
    write_choices(figure_path(TRIO), chosen, scale, rates, steps)
    listed = ", ".join(f"{label} {rate:g}" for label, rate in rates.items())
    print(f"learning rates with the lowest loss: {listed}; {steps} steps", flush=True, file=sys.stdout)
