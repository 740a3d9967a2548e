"""``reproduce``: train the models of figures, save the results, and show them in plots and tables.

::

    OUT/runs/LABEL-HASH/         a run's folder, as written by ``train``, without checkpoints
    OUT/runs/LABEL-HASH.log      output of the run
    OUT/FIGURE_SCALE.jsonl       one result per run
    OUT/FIGURE_SCALE.png, .svg, .md   made only from these results
    OUT/FIGURE_rates_SCALE.*     the same for the runs that try the figure's learning rates
    OUT/cut_runs.jsonl           runs that were cut off, for better estimates
"""

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from math import inf
from pathlib import Path

from filelock import FileLock, Timeout

from dataset_builders import InputError
from dataset_builders.checks import check_integer, check_positive
from dataset_builders.interruption import Interrupted, TimeLimitReached
from dataset_builders.workers import run_from, worker_slots
from synthetic_training.data.training_data import training_data
from synthetic_training.figures.allocation import Allocation
from synthetic_training.figures.estimate import RESULTS, Expectations, committed_results, cut_runs
from synthetic_training.figures.execute import Execution
from synthetic_training.figures.figure_file import shipped
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.own_code import check_own_code
from synthetic_training.figures.plan_text import plan_text, runs_text
from synthetic_training.figures.results import check_others
from synthetic_training.figures.schedule import schedule_text, simulate
from synthetic_training.figures.stages import Stage, read_stages
from synthetic_training.models.model_types import PACKAGES
from synthetic_training.models.registry import check_arguments
from synthetic_training.models.sizes import preset_arguments
from synthetic_training.models.user_code import import_packages


class RunsFailed(InputError):  # noqa: N818  what happened, as with Interrupted and TimeLimitReached
    """Some runs failed; the results of the others are written."""


def reproduce(
    figures: str | Sequence[str],
    scale: str = "small",
    *,
    seeds: Sequence[int] = (),
    models: Sequence[str] = (),
    out: Path = Path("reproduced"),
    resume: bool = False,
    known: Path | None = None,
    per_gpu: int = 1,
    minutes: float | None = None,
    whole_runs: bool = False,
    revision: str | None = None,
    imports: Sequence[str] = (),
    trust_remote_code: bool = False,
    dry_run: bool = False,
    gpus: int | None = None,
    calls: int = 3,
    again: str | None = None,
) -> list[Path]:
    """Print the plan of figures, and do the runs that have no result yet.

    Args:
        figures: one or several figures in the order in which they are done: names from ``shipped``, or paths
            of the user's own YAML files.
        scale: a scale in the figures' files.
        seeds: seeds that replace those in the files.
        models: labels of the runs to do; empty for all.
        out: folder for the runs of all figures and for the results.
        resume: whether to continue with the content of ``out``.
        known: folder with results of earlier calls, whose runs are not repeated.
        per_gpu: maximum number of runs that share a GPU, at least 1; one compiles or is evaluated while
            another trains.
        minutes: time after which unfinished runs save a checkpoint and end; None for no limit.
        whole_runs: whether a run on a GPU does not start if it is expected to take longer than the time that
            is left, for machines that do not keep checkpoints.
        revision: revision of this code to record in results (default: from git), e.g. for a copy without git
            history.
        imports: packages to import first in every run, in addition to those of the figure's file.
        trust_remote_code: whether code in the folders of the runs' models may run.
        dry_run: only print the plan, and with ``gpus`` also the schedule.
        gpus: number of GPUs of the schedule.
        calls: number of calls that the schedule shows run by run.
        again: command that continues this work, for the message when it is interrupted (default:
            ``reproduce`` with these arguments).

    Returns:
        The files that were written: results, plots and tables.

    Raises:
        InputError: no figure is given; a figure, scale, label or model does not exist; a setting is invalid;
            the runs need a GPU, and there is none; the code of your own model has changed since a run of the
            figures; ``out`` contains results or unfinished runs of the figures, and ``resume`` is not set;
            ``out`` contains a plot or table that this function did not write; or another process is working
            on a figure.
        RunsFailed: a run failed, after the other runs were done.
        Interrupted: Ctrl-C or SIGTERM; results and checkpoints are kept.
        TimeLimitReached: the time limit is reached, or no other run fits into the time that is left; results
            and checkpoints are kept.
    """
    check_integer("per_gpu", per_gpu, 1)
    if minutes is not None:
        check_positive("minutes", minutes)
    if whole_runs and minutes is None:
        raise InputError("whole runs need the minutes of a call; pass --minutes")
    if gpus is not None:
        check_integer("gpus", gpus, 1)
        if not dry_run:
            raise InputError("the schedule for a number of GPUs is part of a dry run; pass --dry-run too")
    budget = inf if minutes is None else 60 * minutes
    end = time.monotonic() + budget
    figures = [figures] if isinstance(figures, str) else list(figures)
    if not figures:
        raise InputError(f"no figure is named; use {', '.join(shipped())} or a YAML file")
    overrides: dict[str, object] = {}
    if imports:
        overrides["imports"] = list(imports)
    if trust_remote_code:
        overrides["trust_remote_code"] = True
    stages = read_stages(figures, scale, models=models, seeds=seeds, overrides=overrides)
    ledger = Ledger(stages, out)
    _check_folder(ledger, out, begun=resume or dry_run)
    _check_models(stages, dry_run=dry_run)
    if known is not None:
        if not known.is_dir():
            raise InputError(f"{known} is not a folder; pass one with results of reproduce")
        ledger.take(known)
    check_own_code(ledger, out / "runs", dry_run=dry_run)
    on_gpu = any(run.config.device != "cpu" for stage in stages for run in stage.planned)
    slots = worker_slots(on_gpu) if ledger.work() else []
    per_slot = per_gpu if any("CUDA_VISIBLE_DEVICES" in slot for slot in slots) else 1
    without_gpu = on_gpu and slots and not any("CUDA_VISIBLE_DEVICES" in slot for slot in slots)
    if without_gpu and scale == "paper" and not dry_run and not shipped().keys().isdisjoint(figures):
        raise InputError(
            "runs at the paper's scale need a GPU, and PyTorch finds none; use --scale small, or pass "
            "--dry-run to see the plan"
        )
    at_once = len(slots) * per_slot if gpus is None else gpus * per_gpu
    print(plan_text(ledger, out / "runs", at_once), flush=True)
    expectations = Expectations(
        [*committed_results(), *(one for stage in stages for one in ledger.results(stage))],
        cut_runs(RESULTS, out),
    )
    if dry_run:
        if gpus is not None:
            schedule = simulate(ledger, expectations, gpus, per_gpu, budget / 60, whole_runs=whole_runs)
            print("\n" + schedule_text(schedule, calls))
        return []
    try:
        (out / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None
    options: dict[str, Sequence[object]] = {
        "--scale": [scale],
        "--models": models,
        "--seeds": seeds,
        "--out": [out],
        "--known": [known] if known is not None else [],
        "--per-gpu": [per_gpu] if per_gpu > 1 else [],
        "--minutes": [f"{minutes:g}"] if minutes is not None else [],
        "--revision": [revision] if revision else [],
        "--import": imports,
    }
    command = ["python", "-m", "synthetic_training", "reproduce", *figures, *_words(options)]
    command += [*["--whole-runs"] * whole_runs, *["--trust-remote-code"] * trust_remote_code, "--resume"]
    with _only_one(stages, out), _kept_when_interrupted(ledger, again or shlex.join(command)):
        ledger.save()
        allocation = Allocation(len(slots), per_slot, budget, whole_runs)
        execution = Execution(ledger, allocation, slots, out, revision, expectations, end)
        return _carry_out(ledger, execution)


def _check_models(stages: Sequence[Stage], *, dry_run: bool) -> None:
    """Check the models of all runs and their arguments, so that errors are reported before the first run.

    Raises:
        InputError: there is no such model or preset, its arguments are invalid, a module to import or a
            model's package is missing, or a model's code is not trusted. A dry run needs no packages of
            models.
    """
    checked = set()
    for stage in stages:
        for run in stage.planned:
            config = run.config
            tokens = training_data(config).tokens
            trusted = config.trust_remote_code
            key = repr((config.model, config.preset, config.model_args, config.imports, trusted, tokens))
            if key in checked or (dry_run and config.model.partition(":")[0] in PACKAGES):
                continue
            checked.add(key)
            try:
                import_packages(config.imports)
                arguments = preset_arguments(config.preset, config.model, config.model_args)
                check_arguments(config.model, tokens, trust_remote_code=trusted, **arguments)
            except InputError as error:
                raise InputError(f"{stage.source}: run {run.label}: {error}") from error


def _carry_out(ledger: Ledger, execution: Execution) -> list[Path]:
    """Carry out the runs that are left, and return the files with the results of all runs."""
    if ledger.work():
        try:
            run_from(execution.source, execution)
        finally:
            execution.close()
        execution.check_time()
    made = [file for stage in ledger.stages for file in ledger.show(stage)]
    if execution.failures:
        files = ", ".join(str(ledger.file(stage)) for stage in ledger.stages if ledger.results(stage))
        raise RunsFailed("; ".join(execution.failures) + (f"; the others are in {files}" if made else ""))
    return made


def _check_folder(ledger: Ledger, out: Path, *, begun: bool) -> None:
    """Raise InputError if the folder contains plots of others or, unless ``begun``, results or runs."""
    for stage in ledger.stages:
        if not ledger.results(stage):
            check_others(out, stage.stem)
    if not begun:
        _refuse_begun(ledger, out / "runs")


def _refuse_begun(ledger: Ledger, runs: Path) -> None:
    from synthetic_training.training.run_folder import MODEL

    for stage in ledger.stages:
        if ledger.results(stage):
            raise InputError(
                f"{ledger.file(stage)} contains results; pass --resume to continue, or another --out"
            )
    for work in ledger.work():
        folder = runs / work.name
        if folder.exists() and not (folder / MODEL).exists():
            raise InputError(f"{folder} contains an unfinished run; pass --resume to continue it")


@contextmanager
def _only_one(stages: Sequence[Stage], out: Path) -> Iterator[None]:
    """Raise InputError if another process is working on one of the same stages."""
    with ExitStack() as locks:
        for stage in stages:
            try:
                locks.enter_context(FileLock(out / f".{stage.stem}.lock", timeout=0))
            except Timeout:
                raise InputError(
                    f"another process is working on {out / f'{stage.stem}.jsonl'}; wait for it to end"
                ) from None
        yield


def _words(options: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """Options and values as command-line arguments; options without a value are left out."""
    for name, values in options.items():
        if values:
            yield name
            yield from map(str, values)


@contextmanager
def _kept_when_interrupted(ledger: Ledger, command: str) -> Iterator[None]:
    """After Ctrl-C, SIGTERM or the time limit, say which results are kept and how to continue."""
    try:
        yield
    except KeyboardInterrupt as stop:
        kept = {stage: len(ledger.finished(stage)) for stage in ledger.stages}
        files = ", ".join(str(ledger.file(stage)) for stage, count in kept.items() if count)
        results = f", with results in {files}" if files else ""
        total = sum(len(stage.planned) for stage in ledger.stages)
        message = (
            f"{sum(kept.values())} of {runs_text(total)} finished{results}; to continue "
            f"the others from their last checkpoints, run\n{command}"
        )
        if isinstance(stop, TimeLimitReached):
            raise TimeLimitReached(f"the time limit is reached: {message}") from None
        message = f"interrupted: {message}"
        raise (
            Interrupted(message, stop.number) if isinstance(stop, Interrupted) else Interrupted(message)
        ) from None
