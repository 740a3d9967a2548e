"""``reproduce``: do the runs of a figure, save their results, and show them in a plot and a table.

::

    OUT/runs/LABEL-HASH/         a run's folder, as written by ``train``, without checkpoints
    OUT/runs/LABEL-HASH.log      output of the run
    OUT/FIGURE_SCALE.jsonl       one result per run
    OUT/FIGURE_SCALE.png, .svg, .md   made only from these results
"""

import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path

from filelock import FileLock, Timeout

from dataset_builders import InputError
from dataset_builders.checks import check_integer, did_you_mean
from dataset_builders.files import read_json, write_text
from dataset_builders.interruption import Interrupted
from dataset_builders.workers import Job, last_line, places, run_jobs
from synthetic_training.figures.draw import draw
from synthetic_training.figures.figure_file import Scale, figure_path, read_figure
from synthetic_training.figures.plan import Result, Run, key_of, plan
from synthetic_training.figures.plan_text import log_of, plan_text, runs_text
from synthetic_training.figures.progress import Progress
from synthetic_training.figures.results import append_result, check_others, done, read_results
from synthetic_training.figures.tables import report


def reproduce(
    figure: str,
    scale: str = "small",
    *,
    seeds: Sequence[int] = (),
    models: Sequence[str] = (),
    out: Path = Path("reproduced"),
    resume: bool = False,
    per_gpu: int = 1,
    minutes: float | None = None,
    revision: str | None = None,
    imports: Sequence[str] = (),
    trust_remote_code: bool = False,
    dry_run: bool = False,
) -> list[Path]:
    """Print the plan of a figure, and do the runs that have no result yet.

    Args:
        figure: a name from ``shipped``, or the path of the user's own YAML file.
        scale: a scale in the figure's file.
        seeds: seeds that replace those in the figure's file.
        models: labels of the runs to do; empty for all.
        out: folder for the runs of all figures and for the results.
        resume: whether to continue with the content of ``out``.
        per_gpu: number of runs that share a GPU, at least 1; one compiles or is evaluated while another
            trains.
        minutes: time after which unfinished runs are ended, as by Ctrl-C; None for no limit.
        revision: revision of this code, to replace git's answer, e.g. for a copy without git history.
        imports: packages to import first in every run, in addition to those of the figure's file.
        trust_remote_code: whether code in the folders of the runs' models may run.
        dry_run: only print the plan.

    Returns:
        The files that were written: results, plots and table.

    Raises:
        InputError: the figure or a part of it does not exist or cannot be run; ``per_gpu`` or ``minutes`` is
            invalid; ``out`` contains results or unfinished runs of the figure, and ``resume`` is not set, or
            a plot or table that this function did not write; or a run failed, after the other runs were
            done.
        Interrupted: Ctrl-C or SIGTERM, or the time is over; results and checkpoints are kept.
    """
    check_integer("per_gpu", per_gpu, 1)
    if minutes is not None and not 0 < minutes < inf:
        raise InputError(f"minutes must be a number above 0, not {minutes}")
    end = inf if minutes is None else time.monotonic() + 60 * minutes
    file = figure_path(figure)
    content = read_figure(file)
    if scale not in content.scales:
        known = [str(name) for name in content.scales]
        raise InputError(
            f"{file} has no scale {scale!r}, only {', '.join(known)}{did_you_mean(scale, known)}"
        )
    size = content.scales[scale]
    if imports or trust_remote_code:
        given = {
            "imports": [*size.settings.get("imports", ()), *imports],
            "trust_remote_code": trust_remote_code,
        }
        size = replace(size, settings={**size.settings, **given})
    runs = plan(size, str(file), models, seeds)
    where = _Files(out, file.stem, scale)
    results = read_results(where.results)
    if not resume and not dry_run:
        _refuse_begun(results, runs, where)
    if not results:
        check_others(out, where.stem)
    finished = done(results, runs, size.tests, where.results)
    remaining = [run for run in runs if run.key not in finished]
    at = places(any(run.config.device != "cpu" for run in runs), per_gpu) if remaining else []
    print(plan_text(runs, remaining, where.stem, where.results, where.runs, len(at)), flush=True)
    if dry_run:
        return []
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

    given_options: dict[str, Sequence[object]] = {
        "--scale": [scale],
        "--models": models,
        "--seeds": seeds,
        "--out": [out],
        "--per-gpu": [per_gpu] if per_gpu > 1 else [],
        "--minutes": [minutes] if minutes is not None else [],
        "--revision": [revision] if revision else [],
        "--import": imports,
    }
    command = ["reproduce", figure, *_words(given_options), *["--trust-remote-code"] * trust_remote_code]
    with _only_one(where), _kept_when_interrupted(where, runs, command):
        options = _Options(per_gpu, revision)
        failures = _work(remaining, at, size, where, options, show, end) if remaining else []
        made = show()
    if failures:
        raise InputError("; ".join(failures) + (f"; the others are in {where.results}" if made else ""))
    return made


@dataclass(frozen=True)
class _Files:
    """Paths of runs and results."""

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
    """Values that jobs record.

    Attributes:
        per_gpu: number of runs that share a GPU.
        revision: revision of this code, to replace git's answer.
    """

    per_gpu: int
    revision: str | None


def _refuse_begun(results: Sequence[Result], runs: Sequence[Run], where: _Files) -> None:
    from synthetic_training.training.run_folder import MODEL

    if results:
        raise InputError(f"{where.results} contains results; pass --resume to continue, or another --out")
    for run in runs:
        folder = where.runs / run.name
        if folder.exists() and not (folder / MODEL).exists():
            raise InputError(f"{folder} contains an unfinished run; pass --resume to continue it")


@contextmanager
def _only_one(where: _Files) -> Iterator[None]:
    """Raise InputError if another process is working on the same figure."""
    try:
        with FileLock(where.out / f".{where.stem}.lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"another process is working on {where.results}; wait for it to end") from None


def _words(options: Mapping[str, Sequence[object]]) -> Iterator[str]:
    """Options and values as command-line arguments; options without a value are left out."""
    for name, values in options.items():
        if values:
            yield name
            yield from map(str, values)


@contextmanager
def _kept_when_interrupted(where: _Files, runs: Sequence[Run], command: Sequence[str]) -> Iterator[None]:
    """After Ctrl-C or SIGTERM, or when the time is over, say which results are kept and how to continue."""
    try:
        yield
    except KeyboardInterrupt as stop:
        keys = {run.key for run in runs}
        kept = len({key for key in map(key_of, read_results(where.results)) if key in keys})
        results = f", with results in {where.results}" if kept else ""
        words = shlex.join([*command, "--resume"])
        message = (
            f"interrupted: {kept} of {runs_text(runs)} finished{results}; to continue the others from their "
            f"last checkpoints, run\npython -m synthetic_training {words}"
        )
        raise (
            Interrupted(message, stop.number) if isinstance(stop, Interrupted) else Interrupted(message)
        ) from None


class _Recorder(Progress):
    """Shows the progress of runs, saves each result, and ends the runs when the time is over."""

    def __init__(
        self, runs: Mapping[str, Run], where: _Files, show: Callable[[], object], end: float
    ) -> None:
        super().__init__(runs, where.runs, where.stem)
        self._where, self._show, self._end = where, show, end
        self.failures: list[str] = []

    def waiting(self) -> None:
        super().waiting()
        if time.monotonic() > self._end:
            self.say("the time is over", sys.stdout)
            raise Interrupted("the time is over", signal.SIGALRM)

    def ended(self, job: Job, status: int) -> None:
        run, file = self._runs[job.name], _result_file(job.name, self._where)
        if status == 0:
            result = read_json(file)
            append_result(self._where.results, {**_head(run, self._where), **result})
            file.unlink()
            self._show()
            accuracy, minutes = result["curve"][-1]["string_accuracy"], result["seconds"] / 60
            self.say(f"{run}: string accuracy {accuracy:.3f}, {minutes:.1f} min", sys.stdout)
        else:
            self.failures.append(f"the run ({run}) failed: {last_line(job.log)} ({job.log})")
            self.say(self.failures[-1], sys.stdout)
        super().ended(job, status)


def _work(
    runs: Sequence[Run],
    at: Sequence[dict[str, str]],
    scale: Scale,
    where: _Files,
    options: _Options,
    show: Callable[[], object],
    end: float,
) -> list[str]:
    """Do the runs, and save the result of each; return one sentence per failed run."""
    recorder = _Recorder({run.name: run for run in runs}, where, show, end)
    try:
        run_jobs([_job(run, scale, where, options) for run in runs], at, recorder)
    finally:
        recorder.close()
    return recorder.failures


def _job(run: Run, scale: Scale, where: _Files, options: _Options) -> Job:
    content = {
        "config": run.config.as_json(),
        "folder": str(where.runs / run.name),
        "tests": [asdict(test) for test in scale.tests],
        **asdict(options),
        "result": str(_result_file(run.name, where)),
    }
    command = [sys.executable, "-m", "synthetic_training.figures.job", json.dumps(content)]
    return Job(run.name, command, log_of(run, where.runs))


def _result_file(name: str, where: _Files) -> Path:
    """The file to which a job writes its result."""
    return where.runs / f".{name}.{where.stem}.json"


def _head(run: Run, where: _Files) -> Result:
    place = {"figure": where.figure, "scale": where.scale, "label": run.label, "panel": run.panel}
    return {**place, "seed": run.seed, "sweep": run.sweep, "run": run.name}
