"""Execute the runs of a plan, one per GPU at a time; the folder of a run appears only once it is complete."""

import re
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from dataset_builders import InputError
from dataset_builders.files import partial_path
from dataset_builders.workers import Job, Watcher, reason, run_jobs
from lm_eval_tasks.paper.plan import Files, Run
from lm_eval_tasks.results.reader import read_results
from lm_eval_tasks.results.samples import samples_file

_ANSWERED = re.compile(rb"Running generate_until requests:[^|\r\n]*\|[^|]*\| *(\d+)/(\d+)")
_TAIL = 8192  # bytes at the end of a log that are searched for lm-eval's progress
_BETWEEN_LOOKS = 1.0  # seconds between two reads of the logs


def do_runs(runs: Sequence[Run], slots: Sequence[Mapping[str, str]], files: Files) -> list[str]:
    """Execute runs with ``lm_eval``, each in its own process.

    Args:
        runs: the runs to execute, in this order.
        slots: the environment variables of each process that can run at the same time, from
            :func:`dataset_builders.workers.worker_slots`.

    Returns:
        One sentence per failed run.

    Raises:
        KeyboardInterrupt: Ctrl-C, or a signal that raises it; complete runs, and the answers of other runs
            so far, are kept.
    """
    for folder in (files.runs, files.unfinished, files.out / "logs"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{folder} cannot be written: {error.strerror}") from None
    watcher = _Runs({run.name: run for run in runs}, files)
    try:
        run_jobs([_job(run, slots, files) for run in runs], slots, watcher)
    finally:
        watcher.close()
    return watcher.failures


def _job(run: Run, slots: Sequence[Mapping[str, str]], files: Files) -> Job:
    output = partial_path(files.results(run))
    shutil.rmtree(output, ignore_errors=True)  # left by a process that was killed
    arguments = run.arguments(device_of(slots), output, files.cache(run))
    return Job(run.name, [sys.executable, "-m", "lm_eval_tasks.paper.job", *arguments], files.log(run))


def device_of(slots: Sequence[Mapping[str, str]]) -> str:
    """lm-eval's ``--device`` for a process of one of the slots."""
    return "cuda:0" if any("CUDA_VISIBLE_DEVICES" in slot for slot in slots) else "cpu"


def accept(run: Run, files: Files) -> None:
    """Give the results of a finished run their final name if they are complete.

    Raises:
        InputError: results or samples of a task are missing or damaged.
    """
    output = partial_path(files.results(run))
    scores = {score.task: score for score in read_results([output])}
    for task in run.experiment.tasks:
        if task not in scores or not samples_file(scores[task]).is_file():
            raise InputError(f"lm_eval wrote no results or samples of {task}")
    output.rename(files.results(run))
    for answers in files.unfinished.glob(f"{run.name}*"):
        answers.unlink()


class _Runs(Watcher):
    """Shows progress (a bar on a terminal, otherwise lines) and keeps the results of successful runs."""

    def __init__(self, runs: Mapping[str, Run], files: Files, stream: TextIO | None = None) -> None:
        self.failures: list[str] = []
        self._runs, self._files = runs, files
        self._stream = sys.stderr if stream is None else stream
        self._working: dict[str, tuple[Job, int]] = {}  # with the size of the log when the job started
        self._looked = 0.0
        self._ended = 0
        self._bar: Any = tqdm(
            total=len(runs),
            desc="runs",
            file=self._stream,
            disable=not self._stream.isatty(),
            dynamic_ncols=True,
            bar_format="{desc}: {n:.2f} of {total}|{bar}| {elapsed}, {postfix}",
        )

    def started(self, job: Job, slot: int) -> None:  # noqa: ARG002  an event of Watcher
        self._working[job.name] = job, job.log.stat().st_size
        if not self._stream.isatty():
            self._say(f"started: {self._runs[job.name]}; log in {job.log}")

    def waiting(self) -> None:
        """Update the progress bar from time to time."""
        if not self._stream.isatty() or time.monotonic() - self._looked < _BETWEEN_LOOKS:
            return
        self._looked = time.monotonic()
        shares = {name: answered(job.log, begin) for name, (job, begin) in self._working.items()}
        self._bar.n = self._ended + sum(shares.values())
        texts = [f"{self._runs[name]} {share:.0%}" for name, share in shares.items()]
        self._bar.set_postfix_str("; ".join(texts))

    def ended(self, job: Job, status: int) -> None:
        """Keep the results of a successful run, or record why it failed."""
        run = self._runs[job.name]
        del self._working[job.name]
        self._ended += 1
        try:
            if status:
                raise InputError(reason(job, status))
            accept(run, self._files)
        except InputError as error:
            shutil.rmtree(partial_path(self._files.results(run)), ignore_errors=True)
            self.failures.append(f"{run} failed: {error} ({job.log})")
            self._say(self.failures[-1])
        else:
            self._say(f"done: {run}")

    def stopping(self) -> None:
        self._say("stopping; answers so far are kept")

    def close(self) -> None:
        self._bar.close()

    def _say(self, text: str) -> None:
        tqdm.write(text, file=self._stream)
        self._stream.flush()


def answered(log: Path, begin: int = 0) -> float:
    """The fraction of a run's prompts that have been answered, from lm-eval's progress bar in the log.

    Args:
        begin: number of bytes at the start of the log that are from an earlier attempt.
    """
    with suppress(OSError), log.open("rb") as file:  # OSError: there is no log yet
        file.seek(max(begin, file.seek(0, 2) - _TAIL))
        found = _ANSWERED.findall(file.read())
        if found:
            done, total = map(int, found[-1])
            return done / total if total else 0.0
    return 0.0
