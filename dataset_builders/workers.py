"""Subprocesses, one per GPU, or one per CPU core where there is no GPU."""

import os
import subprocess
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0
"""Seconds that all running processes together have to save checkpoints and exit before they are killed."""


@dataclass(frozen=True)
class Job:
    """A command, and the file for everything that it prints."""

    name: str
    command: Sequence[str]
    log: Path


class Watcher:
    """Receives the events of jobs; this base class ignores them."""

    def started(self, job: Job, place: int) -> None:
        """A job started at one of the places, which are numbered from 0."""

    def waiting(self) -> None:
        """No event occurred; called a few times per second."""

    def ended(self, job: Job, status: int) -> None:
        """A job ended with an exit status."""

    def stopping(self) -> None:
        """The running jobs are about to be terminated before they have finished."""


def places(gpu: bool, per_gpu: int = 1) -> list[dict[str, str]]:
    """For each process that can run at the same time, the environment that assigns its GPU or CPU core.

    Args:
        gpu: whether to use GPUs, if there are any.
        per_gpu: number of processes that share a GPU, at least 1.
    """
    import torch

    if gpu and torch.cuda.is_available():
        allowed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        names = allowed.split(",") if allowed else [str(i) for i in range(torch.cuda.device_count())]
        there = names[: torch.cuda.device_count()]
        return [{"CUDA_VISIBLE_DEVICES": name} for name in there] * per_gpu
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [{"OMP_NUM_THREADS": "1"}] * cores


class Source:
    """Decides which job starts next, and where."""

    def next(self) -> tuple[Job, Mapping[str, str]] | None:
        """The next job and the environment variables of its place; None if none can start now."""
        raise NotImplementedError

    def ended(self, job: Job) -> None:
        """A job ended, so that its place is free."""
        raise NotImplementedError


class _InOrder(Source):
    """Jobs in their order, each at the place that has been free for the longest time."""

    def __init__(self, jobs: Iterable[Job], at: Sequence[Mapping[str, str]]) -> None:
        self._waiting, self._at, self._free = deque(jobs), at, deque(range(len(at)))
        self._taken: dict[str, int] = {}

    def next(self) -> tuple[Job, Mapping[str, str]] | None:
        if not (self._waiting and self._free):
            return None
        job, place = self._waiting.popleft(), self._free.popleft()
        self._taken[job.name] = place
        return job, self._at[place]

    def ended(self, job: Job) -> None:
        self._free.append(self._taken.pop(job.name))


def run_jobs(jobs: Iterable[Job], at: Sequence[Mapping[str, str]], watcher: Watcher) -> None:
    """Run all jobs in order, as many at a time as there are places; no job outlives this call.

    Args:
        jobs: what to do; each has a name of its own.
        at: the environment variables of each place, in addition to those of this process.
        watcher: receives the events of the jobs.
    """
    run_from(_InOrder(jobs, at), watcher)


def run_from(source: Source, watcher: Watcher) -> None:
    """Run jobs until none is running and the source has none; no job outlives this call.

    Args:
        source: is asked for a job at the start and whenever a job has ended.
        watcher: receives the events of the jobs; places are numbers, the lowest that is free.
    """
    running: dict[subprocess.Popen[bytes], tuple[Job, int]] = {}
    try:
        while True:
            while (found := source.next()) is not None:
                job, environment = found
                taken = {place for _, place in running.values()}
                place = next(number for number in range(len(taken) + 1) if number not in taken)
                running[_start(job, environment)] = job, place
                watcher.started(job, place)
            if not running:
                return
            while not (ended := [process for process in running if process.poll() is not None]):
                watcher.waiting()
                time.sleep(0.05)
            for process in ended:
                job, place = running.pop(process)
                _close(process)
                source.ended(job)
                watcher.ended(job, process.returncode)
            watcher.waiting()
    finally:
        if running:
            watcher.stopping()
        for process in running:
            process.terminate()
        end = time.monotonic() + PATIENCE
        for process in running:
            try:
                process.wait(max(0.01, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)


def _start(job: Job, place: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    # progress bars in a log file are written once a minute
    environment = {**os.environ, "TQDM_MININTERVAL": "60", **place}
    with job.log.open("ab") as log:
        return subprocess.Popen(
            job.command,
            stdin=subprocess.PIPE,  # never written to; when it closes, the job knows that this process ended
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _close(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None  # noqa: S101  it is a pipe
    process.stdin.close()


def last_line(log: Path) -> str:
    """The last line that is not empty; of a progress bar, its last state."""
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it printed nothing"
