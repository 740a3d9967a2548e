"""Runs jobs in subprocesses, one per GPU, or one per CPU core without a GPU."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0
"""Seconds that all running processes together have to save checkpoints and exit before they are killed."""


@dataclass(frozen=True)
class Job:
    """A command, its name, and the file for its output."""

    name: str
    command: Sequence[str]
    log: Path


class Watcher:
    """Receives the events of jobs; this base class ignores them."""

    def started(self, job: Job, slot: int) -> None:
        """A job started in a slot, a number from 0."""

    def waiting(self) -> None:
        """Called about 20 times per second while jobs are running."""

    def ended(self, job: Job, status: int) -> None:
        """A job ended with an exit status."""

    def stopping(self) -> None:
        """The running jobs are about to be terminated before they have finished."""


def worker_slots(gpu: bool, per_gpu: int = 1) -> list[dict[str, str]]:
    """The environment variables of each slot: a GPU or CPU core on which one process runs at a time.

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
    """Decides which job starts next, and on which GPU or CPU core."""

    def next(self) -> tuple[Job, Mapping[str, str]] | None:
        """The next job and the environment variables of its slot; None if no job can start now."""
        raise NotImplementedError

    def ended(self, job: Job) -> None:
        """A job ended, so that its slot is free."""
        raise NotImplementedError


class _InOrder(Source):
    """Jobs in their order, each in the slot that has been free for the longest time."""

    def __init__(self, jobs: Iterable[Job], slots: Sequence[Mapping[str, str]]) -> None:
        self._waiting, self._slots, self._free = deque(jobs), slots, deque(range(len(slots)))
        self._taken: dict[str, int] = {}

    def next(self) -> tuple[Job, Mapping[str, str]] | None:
        if not (self._waiting and self._free):
            return None
        job, slot = self._waiting.popleft(), self._free.popleft()
        self._taken[job.name] = slot
        return job, self._slots[slot]

    def ended(self, job: Job) -> None:
        self._free.append(self._taken.pop(job.name))


def run_jobs(jobs: Iterable[Job], slots: Sequence[Mapping[str, str]], watcher: Watcher) -> None:
    """Run all jobs in order, as many at a time as there are slots; no job outlives this call.

    Args:
        jobs: the jobs, with different names.
        slots: the environment variables of each slot, in addition to those of this process.
        watcher: receives the events of the jobs.
    """
    run_from(_InOrder(jobs, slots), watcher)


def run_from(source: Source, watcher: Watcher) -> None:
    """Run jobs until none is running and the source has none; no job outlives this call.

    Args:
        source: source of jobs; its ``next`` is called at the start and whenever a job has ended.
        watcher: receives the events of the jobs; a slot is the lowest number that is free.
    """
    running: dict[subprocess.Popen[bytes], tuple[Job, int]] = {}
    try:
        while True:
            while (found := source.next()) is not None:
                job, environment = found
                taken = {slot for _, slot in running.values()}
                slot = next(number for number in range(len(taken) + 1) if number not in taken)
                running[_start(job, environment)] = job, slot
                watcher.started(job, slot)
            if not running:
                return
            while not (ended := [process for process in running if process.poll() is not None]):
                watcher.waiting()
                time.sleep(0.05)
            for process in ended:
                job, slot = running.pop(process)
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


def _start(job: Job, slot: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    # progress bars in a log file are written once a minute
    environment = {**os.environ, "TQDM_MININTERVAL": "60", **slot}
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


def end_with_parent() -> None:
    """End this process, which ``run_from`` started, as soon as the process that started it ends."""
    threading.Thread(target=_end_at_end_of_input, daemon=True).start()


def _end_at_end_of_input() -> None:
    sys.stdin.read()
    os._exit(1)


def reason(job: Job, status: int) -> str:
    """Why a job failed: the signal that killed it, or else the last line of its log."""
    if status == -signal.SIGKILL:
        return "it was killed, perhaps because the machine ran out of memory"
    return f"it was terminated by signal {-status}" if status < 0 else last_line(job.log)


def last_line(log: Path) -> str:
    """The last line that is not empty; of a progress bar, its last state."""
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it printed nothing"
