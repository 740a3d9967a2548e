"""Subprocesses, one per GPU, or one per CPU core where there is no GPU."""

import os
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 30.0
"""Seconds in which a process must end, and may save a checkpoint, before it is killed."""


@dataclass(frozen=True)
class Job:
    """A command, and the file for everything that it prints."""

    name: str
    command: Sequence[str]
    log: Path


def places(gpu: bool, per_gpu: int = 1) -> list[dict[str, str]]:
    """For each process that can run at once, the environment variables that give it its GPU or CPU core.

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


def run_jobs(jobs: Iterable[Job], at: Sequence[Mapping[str, str]], ended: Callable[[Job, int], None]) -> None:
    """Do all jobs in order, as many at once as there are places; none outlives this call.

    Args:
        jobs: what to do.
        at: the environment variables of each place, in addition to those of this process.
        ended: called with each job that ends, and its exit status.
    """
    waiting, free = deque(jobs), deque(at)
    running: dict[subprocess.Popen[bytes], tuple[Job, Mapping[str, str]]] = {}
    try:
        while waiting or running:
            while waiting and free:
                job, place = waiting.popleft(), free.popleft()
                running[_start(job, place)] = job, place
            time.sleep(0.05)
            for process in [one for one in running if one.poll() is not None]:
                job, place = running.pop(process)
                _close(process)
                free.append(place)
                ended(job, process.returncode)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            _close(process)


def _start(job: Job, place: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    # progress bars in a log file are written once a minute
    environment = {**os.environ, "TQDM_MININTERVAL": "60", **place}
    with job.log.open("ab") as log:
        return subprocess.Popen(  # noqa: S603
            job.command,
            stdin=subprocess.PIPE,  # never written to: its end tells the job that this process has ended
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def _close(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None  # noqa: S101  it is a pipe
    process.stdin.close()


def last_line(log: Path) -> str:
    """The last line that is not empty; progress bars overwrite theirs."""
    text = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else "it printed nothing"
