"""``reproduce``: do the runs of a figure, keep their results, draw them and put them into a table.

::

    OUT/runs/LABEL-HASH/         a run's folder, as ``train`` leaves it, without checkpoints
    OUT/runs/LABEL-HASH.log      what it printed
    OUT/FIGURE_SCALE.jsonl       a line of results of each run
    OUT/FIGURE_SCALE.png, .svg, .md   made from those lines alone
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from dataset_builders import InputError
from dataset_builders.checks import check_integer, did_you_mean
from dataset_builders.files import read_json, write_text
from synthetic_training.config import as_json
from synthetic_training.figures.draw import draw
from synthetic_training.figures.figure_file import Scale, figure_path, read_figure
from synthetic_training.figures.plan import Run, plan
from synthetic_training.figures.results import append_result, done, read_results
from synthetic_training.figures.tables import report
from synthetic_training.figures.workers import Job, last_line, places, run_jobs
from synthetic_training.training.run_log import Line


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
    imports: Sequence[str] = (),
    trust_remote_code: bool = False,
) -> list[Path]:
    """Do what is left of a figure.

    Args:
        figure: one of ``shipped``, or the path of a YAML file of one's own.
        scale: of those that the figure has.
        seeds: in place of those of the figure's file.
        models: labels of the runs that are wanted; none for all.
        out: folder for the runs of all figures and for the results.
        resume: go on with what is in ``out``.
        per_gpu: runs that share a GPU, at least 1: one compiles or is tested while another trains.
        revision: of this code, in place of what git says, as in a copy without its history.
        imports: packages to import first in every run, besides those of the figure's file.
        trust_remote_code: whether code in the folders of the runs' models may run.

    Returns:
        The files that were made: results, plots and table.

    Raises:
        InputError: the figure or a part of it is not there or cannot be run; ``per_gpu`` is no such number;
            ``out`` has results or
            unfinished runs of it, without ``resume``; or a run failed, and the others are done.
    """
    check_integer("per_gpu", per_gpu, 1)
    file = figure_path(figure)
    content = read_figure(file)
    if scale not in content.scales:
        known = [str(name) for name in content.scales]
        raise InputError(f"{file} has no scale {scale!r} but {', '.join(known)}{did_you_mean(scale, known)}")
    size = content.scales[scale]
    if imports or trust_remote_code:
        given = {
            "imports": [*size.settings.get("imports", ()), *imports],
            "trust_remote_code": trust_remote_code,
        }
        size = replace(size, settings={**size.settings, **given})
    runs = plan(size, str(file), models, seeds)
    where = _Files(out, file.stem, scale)
    lines = read_results(where.results)
    if not resume:
        _refuse_begun(lines, runs, where)
    finished = done(lines, runs, size.tests, where.results)
    try:
        where.runs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None

    def show() -> list[Path]:
        found = read_results(where.results)
        if not found:
            return []
        drawn = [where.of_kind(kind) for kind in ("png", "svg")]
        draw(content, found, drawn)
        table = where.of_kind("md")
        write_text(table, report(content, found))
        return [where.results, *drawn, table]

    with _only_one(where):
        left = [run for run in runs if run.key not in finished]
        workers = _Workers(per_gpu, revision)
        failures = _work(left, size, where, workers, show) if left else []
        made = show()
    if failures:
        raise InputError("; ".join(failures) + (f"; the others are in {where.results}" if made else ""))
    return made


@dataclass(frozen=True)
class _Files:
    """Where all is."""

    out: Path
    figure: str
    scale: str

    @property
    def runs(self) -> Path:
        return self.out / "runs"

    @property
    def results(self) -> Path:
        return self.of_kind("jsonl")

    def of_kind(self, kind: str) -> Path:
        return self.out / f"{self.figure}_{self.scale}.{kind}"


@dataclass(frozen=True)
class _Workers:
    """How runs are done.

    Attributes:
        per_gpu: runs that share a GPU.
        revision: of this code, in place of what git says, as in a copy without its history.
    """

    per_gpu: int
    revision: str | None


def _refuse_begun(lines: Sequence[Line], runs: Sequence[Run], where: _Files) -> None:
    from synthetic_training.training.loop import MODEL

    if lines:
        raise InputError(f"{where.results} holds results; pass --resume to go on, or name another --out")
    for run in runs:
        folder = where.runs / run.name
        if folder.exists() and not (folder / MODEL).exists():
            raise InputError(f"{folder} holds a run that is not finished; pass --resume to go on with it")


@contextmanager
def _only_one(where: _Files) -> Iterator[None]:
    """Refuse to work at what another process works at."""
    try:
        with FileLock(where.out / f".{where.results.stem}.lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"another process is at work on {where.results}; wait for it") from None


def _work(
    runs: Sequence[Run], scale: Scale, where: _Files, workers: _Workers, show: Callable[[], object]
) -> list[str]:
    """Do the runs, add a line of results for each; a sentence of each that failed."""
    by_name = {run.name: run for run in runs}
    failures: list[str] = []
    bar = tqdm(total=len(runs), unit="run", file=sys.stderr)

    def ended(job: Job, status: int) -> None:
        run, result = by_name[job.name], _result(job, where)
        if status == 0:
            line = read_json(result)
            append_result(where.results, {**_head(run, where), **line})
            result.unlink()
            show()
            accuracy, minutes = line["curve"][-1]["string_accuracy"], line["seconds"] / 60
            bar.write(f"{run}: string accuracy {accuracy:.3f}, {minutes:.1f} min", file=sys.stdout)
        else:
            failures.append(f"the run ({run}) failed: {last_line(job.log)} ({job.log})")
            bar.write(failures[-1], file=sys.stdout)
        sys.stdout.flush()
        bar.update()

    gpu = any(run.config.device != "cpu" for run in runs)
    try:
        jobs = [_job(run, scale, where, workers) for run in runs]
        run_jobs(jobs, places(gpu, workers.per_gpu), ended)
    finally:
        bar.close()
    return failures


def _job(run: Run, scale: Scale, where: _Files, workers: _Workers) -> Job:
    folder = where.runs / run.name
    job = Job(run.name, [], folder.with_name(f"{run.name}.log"))
    content = {
        "config": as_json(run.config),
        "folder": str(folder),
        "tests": [asdict(test) for test in scale.tests],
        **asdict(workers),
        "line": str(_result(job, where)),
    }
    command = [sys.executable, "-m", "synthetic_training.figures.job", json.dumps(content)]
    return replace(job, command=command)


def _result(job: Job, where: _Files) -> Path:
    """The file in which a run leaves its line."""
    return where.runs / f".{job.name}.{where.results.stem}.json"


def _head(run: Run, where: _Files) -> Line:
    place = {"figure": where.figure, "scale": where.scale, "label": run.label, "panel": run.panel}
    return {**place, "seed": run.seed, "sweep": run.sweep, "run": run.name}
