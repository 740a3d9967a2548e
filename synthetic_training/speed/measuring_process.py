"""Control of a process that measures one architecture (``architecture_process``)."""

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PROCESS = "synthetic_training.speed.architecture_process"


@dataclass(frozen=True)
class Job:
    """The task of a measuring process: one architecture, compiled or not."""

    model: str
    compile: bool

    @property
    def key(self) -> str:
        return f"{self.model}{' --compile' if self.compile else ''}"


class MeasuringProcess:
    """A process that measures one job, controlled by lines of text.

    Args:
        job: what to measure.
        settings: ``preset``, ``rows``, ``context_length`` and ``device``.

    Attributes:
        result: the measurements, or an ``error``, after the process has ended.
    """

    def __init__(self, job: Job, settings: Mapping[str, Any]) -> None:
        self.job = job
        self.result: dict[str, Any] | None = None
        content = {"model": job.model, "compile": job.compile, **settings}
        self._heard = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", _PROCESS, json.dumps(content)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "TRITON_CACHE_AUTOTUNING": "1"},
        )

    def send(self, word: str) -> None:
        """Send the word for which the process waits; this does nothing if the process has ended."""
        if self.result is None and self._process.stdin is not None:
            try:
                self._process.stdin.write(f"{word}\n".encode())
                self._process.stdin.flush()
            except BrokenPipeError:
                pass  # the process has ended; ``wait_for`` sets the result

    def wait_for(self, word: str, seconds: float, limit: float | None = None) -> bool:
        """Wait for a word from the process; if it does not come in time, end the process and set its result.

        Args:
            word: the expected line.
            seconds: time to wait.
            limit: time limit that the error message names, in seconds (default: ``seconds``).

        Returns:
            Whether the word came in time.
        """
        deadline = time.monotonic() + seconds
        while self.result is None:
            line = self._line(deadline - time.monotonic())
            if line is None:
                self.result = {"error": f"TimeoutError: not {word} after {limit or seconds:.0f} s"}
            elif line == word:
                return True
            elif line.startswith("{"):
                self.result = json.loads(line)
            elif line == "":
                self.result = {"error": f"the process ended with status {self._process.wait()}"}
        self.end()
        return False

    def _line(self, seconds: float) -> str | None:
        """The next line of the protocol; empty if the process has ended, None if no line comes in time."""
        stream = self._process.stdout
        if stream is None:
            return ""
        deadline = time.monotonic() + seconds
        while "\n" not in self._heard:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([stream], [], [], left)[0]:
                return None
            read = os.read(stream.fileno(), 65536).decode(errors="replace")
            if not read:
                return ""
            self._heard += read
        line, _, self._heard = self._heard.partition("\n")
        line = line.strip()
        return line if line in ("loaded", "ready") or line.startswith("{") else self._line(seconds)

    def end(self) -> None:
        """Kill the process if it is still running, and close its pipes."""
        with self._process:
            self._process.kill()
