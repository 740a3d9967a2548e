"""The progress that ``reproduce`` shows: one bar per run in progress, or lines if there is no terminal."""

import json
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from dataset_builders.workers import Job, Watcher
from synthetic_training.figures.plan import Run
from synthetic_training.training.run_folder import METRICS

_TAIL = 8192  # bytes, which contain a few lines of metrics
_BETWEEN_LINES = 60.0  # seconds between two lines about a run, without a terminal
_BETWEEN_LOOKS = 1.0  # seconds between two updates of the bars, in a terminal


class Progress(Watcher):
    """A bar for all runs, in tokens, and one per run in progress, in steps, from the runs' metrics.

    If ``stream`` is not a terminal, a line is printed when a run starts, and once a minute for the progress
    of each run. The time left assumes that no run ends early and that all are as fast as the runs so far.

    Args:
        runs: runs to do, by the names of their jobs.
        folder: folder in which each run has a subfolder of its name.
        title: what the runs are for.
        stream: stream for the output (default: standard error).
    """

    def __init__(
        self, runs: Mapping[str, Run], folder: Path, title: str, stream: TextIO | None = None
    ) -> None:
        self._stream = sys.stderr if stream is None else stream
        self._terminal = self._stream.isatty()
        self._runs, self._folder, self._title = dict(runs), folder, title
        self._steps = {name: last_step(folder / name) for name in runs}
        self._total = sum(tokens(run) for run in runs.values())
        self._before, self._since = self._tokens_done(), time.monotonic()
        self._looked = self._since
        self._ended = 0
        self._bars: dict[str, Any] = {}
        self._all: Any = tqdm(
            total=self._total,
            initial=self._before,
            unit=" tokens",
            unit_scale=True,
            file=self._stream,
            disable=not self._terminal,
            dynamic_ncols=True,
        )
        self._describe()

    def add(self, name: str, run: Run) -> None:
        """Add a run that was not known at the start, unless it was added before."""
        if name in self._runs:
            return
        self._runs[name], self._steps[name] = run, last_step(self._folder / name)
        self._total += tokens(run)
        self._before += round(tokens(run) * self._steps[name] / run.config.steps)
        self._all.total = self._total
        self._describe()

    def part_done(self, name: str) -> float:
        """The fraction of a run's steps that is done, as of the last line of its metrics."""
        run = self._runs[name]
        self._steps[name] = max(self._steps[name], last_step(self._folder / name))
        return self._steps[name] / run.config.steps

    def started(self, job: Job, slot: int) -> None:
        """Show the run's bar below the others, or print where its log is."""
        run = self._runs[job.name]
        if not self._terminal:
            self.say(f"started: {run}; log in {job.log}", self._stream)
            return
        self._bars[job.name] = tqdm(
            total=run.config.steps,
            initial=self._steps[job.name],
            position=slot + 1,
            desc=f"  {run}",
            unit="step",
            file=self._stream,
            leave=False,
            dynamic_ncols=True,
        )

    def waiting(self) -> None:
        """Update the progress bar from time to time."""
        now = time.monotonic()
        if now - self._looked >= (_BETWEEN_LOOKS if self._terminal else _BETWEEN_LINES):
            self._looked = now
            self.look()

    def look(self) -> None:
        """Show the progress of each running run."""
        for name, run in self._runs.items():
            step = self._steps[name]
            if step < run.config.steps:
                self._steps[name] = max(step, last_step(self._folder / name))
            if self._terminal and name in self._bars:
                self._bars[name].update(self._steps[name] - self._bars[name].n)
            elif not self._terminal and step < self._steps[name]:
                self.say(f"{run}: step {self._steps[name]:,} of {run.config.steps:,}", self._stream)
        self._all.update(self._tokens_done() - self._all.n)
        if not self._terminal and (left := self._seconds_left()) is not None:
            self.say(f"{self._title}: at most {tqdm.format_interval(left)} left", self._stream)

    def ended(self, job: Job, status: int) -> None:  # noqa: ARG002  an event of Watcher
        """Remove the run's bar; if the run ended early, its remaining steps count as done."""
        self._ended += 1
        self._steps[job.name] = self._runs[job.name].config.steps
        if job.name in self._bars:
            self._bars.pop(job.name).close()
        self._all.update(self._tokens_done() - self._all.n)
        self._describe()

    def stopping(self) -> None:
        """Print a line that explains the wait."""
        self.say("stopping: the runs save a checkpoint; press Ctrl-C again to stop at once", self._stream)

    def say(self, text: str, stream: TextIO) -> None:
        """Print a line above the bars."""
        tqdm.write(text, file=stream)
        stream.flush()

    def close(self) -> None:
        """Leave the bar of all runs, and remove the others."""
        for bar in self._bars.values():
            bar.close()
        self._all.close()

    def _describe(self) -> None:
        self._all.set_description(f"{self._title}, {self._ended} of {len(self._runs)} runs")

    def _tokens_done(self) -> int:
        return sum(
            round(tokens(run) * self._steps[name] / run.config.steps) for name, run in self._runs.items()
        )

    def _seconds_left(self) -> float | None:
        done, seconds = self._tokens_done(), time.monotonic() - self._since
        return (self._total - done) * seconds / (done - self._before) if done > self._before else None


def tokens(run: Run) -> int:
    """The number of tokens that a run trains on, unless it ends early."""
    return run.config.steps * run.config.batch_size * run.config.context_length


def last_step(folder: Path) -> int:
    """The step of the last complete line of a run's metrics; 0 if there is none yet."""
    with suppress(OSError), (folder / METRICS).open("rb") as file:  # there may be no file yet
        file.seek(max(0, file.seek(0, 2) - _TAIL))
        return step_of(file.read())
    return 0


def step_of(metrics: bytes) -> int:
    """The step of the last complete line of metrics, whose first line may be cut off; 0 if there is none."""
    for line in reversed(metrics.split(b"\n")[:-1]):
        with suppress(ValueError, LookupError, TypeError, OverflowError, RecursionError):
            return int(json.loads(line)["step"])
    return 0
