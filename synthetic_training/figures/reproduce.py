"""``reproduce``: do the runs of a figure, keep their results, plot them and put them into a table.

::

    OUT/runs/LABEL-HASH/         a run's folder, as ``train`` leaves it, without checkpoints
    OUT/runs/LABEL-HASH.log      what the run printed
    OUT/FIGURE_SCALE.jsonl       one result per run
    OUT/FIGURE_SCALE.png, .svg, .md   made from those results alone
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from dataset_builders import InputError
from dataset_builders.checks import check_integer, did_you_mean
from dataset_builders.files import read_json, write_text
from synthetic_training.figures.draw import draw
from synthetic_training.figures.figure_file import Scale, figure_path, read_figure
from synthetic_training.figures.plan import Key, Result, Run, key_of, plan
from synthetic_training.figures.results import append_result, done, read_results
from synthetic_training.figures.tables import report
from synthetic_training.figures.workers import Job, last_line, places, run_jobs
from synthetic_training.training.interruption import Interrupted


def reproduce(
    figure: str,
    scale: str = "small",
    *,
    seeds: Sequence[int] = (),
    models: Sequence[str] = (),
    out: Path = Path("reproduced"),
    resume: bool = False,
    per_gpu: int = 1,
    revision: str | None = None,
) -> list[Path]:
    """Print the plan of a figure, and do the runs that have no result yet.

    Args:
        figure: one of ``shipped``, or the path of the user's own YAML file.
        scale: one of those in the figure's file.
        seeds: in place of those in the figure's file.
        models: labels of the runs to do; empty for all.
        out: folder for the runs of all figures and for the results.
        resume: continue with what is in ``out``.
        per_gpu: number of runs that share a GPU, at least 1; one compiles or is evaluated while another
            trains.
        revision: of this code, in place of what git says, as for a copy without its history.

    Returns:
        The files that were written: results, plots and table.

    Raises:
        InputError: the figure or a part of it does not exist or cannot be run; ``per_gpu`` is invalid;
            ``out`` has results or unfinished runs of it, and ``resume`` is not set; or a run failed, and
            the others are done.
        Interrupted: Ctrl-C or SIGTERM; results and checkpoints are kept.
    """
    check_integer("per_gpu", per_gpu, 1)
    file = figure_path(figure)
    content = read_figure(file)
    if scale not in content.scales:
        known = [str(name) for name in content.scales]
        raise InputError(f"{file} has no scale {scale!r} but {', '.join(known)}{did_you_mean(scale, known)}")
    size = content.scales[scale]
    runs = plan(size, str(file), models, seeds)
    where = _Files(out, file.stem, scale)
    results = read_results(where.results)
    if not resume:
        _refuse_begun(results, runs, where)
    finished = done(results, runs, size.tests, where.results)
    try:
        where.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None

    def show() -> list[Path]:
        found = read_results(where.results)
        if not found:
            return []
        drawn = draw(content, found, where.out, where.stem)
        table = where.of_kind("md")
        write_text(table, report(content, found))
        return [where.results, *drawn, table]

    with _only_one(where), _kept_when_interrupted(where, runs):
        remaining = [run for run in runs if run.key not in finished]
        at = places(any(run.config.device != "cpu" for run in runs), per_gpu) if remaining else []
        _print_plan(runs, finished, where, len(at))
        options = _Options(per_gpu, revision)
        failures = _work(remaining, at, size, where, options, show) if remaining else []
        made = show()
    if failures:
        raise InputError("; ".join(failures) + (f"; the others are in {where.results}" if made else ""))
    return made


@dataclass(frozen=True)
class _Files:
    """Where everything is."""

    out: Path
    figure: str
    scale: str

    @property
    def runs(self) -> Path:
        return self.out / "runs"

    @property
    def stem(self) -> str:
        return f"{self.figure}_{self.scale}"

    @property
    def results(self) -> Path:
        return self.of_kind("jsonl")

    def of_kind(self, kind: str) -> Path:
        return self.out / f"{self.stem}.{kind}"


@dataclass(frozen=True)
class _Options:
    """What jobs record.

    Attributes:
        per_gpu: number of runs that share a GPU.
        revision: of this code, in place of what git says.
    """

    per_gpu: int
    revision: str | None


def _refuse_begun(results: Sequence[Result], runs: Sequence[Run], where: _Files) -> None:
    from synthetic_training.training.run_folder import MODEL

    if results:
        raise InputError(f"{where.results} holds results; pass --resume to continue, or another --out")
    for run in runs:
        folder = where.runs / run.name
        if folder.exists() and not (folder / MODEL).exists():
            raise InputError(f"{folder} holds a run that is not finished; pass --resume to continue it")


@contextmanager
def _only_one(where: _Files) -> Iterator[None]:
    """Raise InputError if another process works on the same figure."""
    try:
        with FileLock(where.out / f".{where.stem}.lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"another process is working on {where.results}; wait for it to end") from None


@contextmanager
def _kept_when_interrupted(where: _Files, runs: Sequence[Run]) -> Iterator[None]:
    """After Ctrl-C or SIGTERM, say what is kept and how to continue."""
    try:
        yield
    except KeyboardInterrupt as stop:
        keys = {run.key for run in runs}
        kept = len({key for key in map(key_of, read_results(where.results)) if key in keys})
        message = (
            f"interrupted: {kept} of {_runs(runs)} are finished and kept; the others continue from their "
            "last checkpoint when you repeat the command with --resume"
        )
        raise (
            Interrupted(message, stop.number) if isinstance(stop, Interrupted) else Interrupted(message)
        ) from None


def _print_plan(runs: Sequence[Run], finished: set[Key], where: _Files, at_once: int) -> None:
    """Say what is going to happen, and where it can be watched."""
    remaining = [run for run in runs if run.key not in finished]
    print(f"{where.stem}: {_runs(runs)}, {len(finished)} finished, {len(remaining)} to do", end="")
    print(f", {min(at_once, len(remaining))} at a time" if remaining else "")
    for run in remaining:
        print(f"  {run}: {run.config.steps:,} steps, log in {_log(run, where)}")
    sys.stdout.flush()


def _runs(runs: Sequence[Run]) -> str:
    return f"{len(runs)} run" + ("s" if len(runs) != 1 else "")


def _work(
    runs: Sequence[Run],
    at: Sequence[dict[str, str]],
    scale: Scale,
    where: _Files,
    options: _Options,
    show: Callable[[], object],
) -> list[str]:
    """Do the runs, and add the result of each; return a sentence for each that failed."""
    by_name = {run.name: run for run in runs}
    failures: list[str] = []
    bar = tqdm(total=len(runs), unit="run", file=sys.stderr)

    def ended(job: Job, status: int) -> None:
        run, file = by_name[job.name], _result_file(job.name, where)
        if status == 0:
            result = read_json(file)
            append_result(where.results, {**_head(run, where), **result})
            file.unlink()
            show()
            accuracy, minutes = result["curve"][-1]["string_accuracy"], result["seconds"] / 60
            bar.write(f"{run}: string accuracy {accuracy:.3f}, {minutes:.1f} min", file=sys.stdout)
        else:
            failures.append(f"the run ({run}) failed: {last_line(job.log)} ({job.log})")
            bar.write(failures[-1], file=sys.stdout)
        sys.stdout.flush()
        bar.update()

    try:
        run_jobs([_job(run, scale, where, options) for run in runs], at, ended)
    finally:
        bar.close()
    return failures


def _job(run: Run, scale: Scale, where: _Files, options: _Options) -> Job:
    content = {
        "config": run.config.as_json(),
        "folder": str(where.runs / run.name),
        "tests": [asdict(test) for test in scale.tests],
        **asdict(options),
        "result": str(_result_file(run.name, where)),
    }
    command = [sys.executable, "-m", "synthetic_training.figures.job", json.dumps(content)]
    return Job(run.name, command, _log(run, where))


def _log(run: Run, where: _Files) -> Path:
    return where.runs / f"{run.name}.log"


def _result_file(name: str, where: _Files) -> Path:
    """The file in which a job leaves its result."""
    return where.runs / f".{name}.{where.stem}.json"


def _head(run: Run, where: _Files) -> Result:
    place = {"figure": where.figure, "scale": where.scale, "label": run.label, "panel": run.panel}
    return {**place, "seed": run.seed, "sweep": run.sweep, "run": run.name}
