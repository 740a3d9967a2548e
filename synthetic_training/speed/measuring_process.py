"""A process that measures one architecture, seen from the process that started it."""

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
    """One architecture, compiled or not."""

    model: str
    compile: bool

    @property
    def key(self) -> str:
        return f"{self.model}{' --compile' if self.compile else ''}"


class MeasuringProcess:
    """A process that measures one job, and its conversation with this one.

    Args:
        job: what it measures.
        settings: ``preset``, ``rows``, ``context_length`` and ``device``.

    Attributes:
        result: its measurements or its ``error``, once it has ended.
    """

    def __init__(self, job: Job, settings: Mapping[str, Any]) -> None:
        self.job = job
        self.result: dict[str, Any] | None = None
        content = {"model": job.model, "compile": job.compile, **settings}
        self._heard = ""
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", _PROCESS, json.dumps(content)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "TRITON_CACHE_AUTOTUNING": "1"},
        )

    def say(self, word: str) -> None:
        """Let it go on, unless it has ended."""
        if self.result is None and self._process.stdin is not None:
            try:
                self._process.stdin.write(f"{word}\n".encode())
                self._process.stdin.flush()
            except BrokenPipeError:
                pass  # it has ended; ``hear`` says how

    def hear(self, word: str, seconds: float, limit: float | None = None) -> bool:
        """Whether it says the word in time; if not, its result is known afterwards, and it has ended.

        Args:
            word: what it should say.
            seconds: time to wait.
            limit: seconds that it had altogether, which its error then names (default: ``seconds``).
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
        """The next line that means something; empty at the end, None if none comes in time."""
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
        """Kill it if it still runs."""
        self._process.kill()
        self._process.wait()
