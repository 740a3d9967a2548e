"""The runs of ``reproduce`` while they are in progress: starts them, saves their results, and ends them."""

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from math import inf
from pathlib import Path
from typing import Any

from dataset_builders.files import read_json
from dataset_builders.interruption import TimeLimitReached
from dataset_builders.workers import Job, Source, reason
from synthetic_training.figures.allocation import Allocation
from synthetic_training.figures.estimate import SPEEDUP, Expectations, Expected, add_cut_run
from synthetic_training.figures.ledger import Ledger, Work
from synthetic_training.figures.plan import Result, Run
from synthetic_training.figures.plan_text import log_of
from synthetic_training.figures.progress import Progress, last_step
from synthetic_training.figures.stages import Stage
from synthetic_training.figures.summary import accuracy_name
from synthetic_training.training.run_folder import MODEL


class Execution(Progress):
    """Shows the progress of runs, saves each result, and ends the runs at the time limit.

    Args:
        ledger: what has to be done; results are added to it.
        allocation: where runs may start.
        slots: environment variables for each GPU or CPU core.
        out: folder of the runs and results.
        revision: revision of this code to record in results (default: from git).
        expectations: expected times of runs.
        end: value of ``time.monotonic()`` at which unfinished runs are ended.

    Attributes:
        failures: one sentence per failed run.
        source: starts the runs.
    """

    def __init__(
        self,
        ledger: Ledger,
        allocation: Allocation,
        slots: Sequence[Mapping[str, str]],
        out: Path,
        revision: str | None,
        expectations: Expectations,
        end: float,
    ) -> None:
        runs = {work.name: work.run for work in ledger.work()}
        super().__init__(runs, out / "runs", ", ".join(stage.stem for stage in ledger.stages))
        self._ledger, self._allocation, self._slots = ledger, allocation, slots
        self._out, self._revision, self._expectations, self._end = out, revision, expectations, end
        self._on_gpus = any("CUDA_VISIBLE_DEVICES" in slot for slot in slots)
        self._failed: set[str] = set()
        self._begun: dict[str, float] = {}
        self._first: dict[str, int] = {}
        self._shared: dict[str, float] = {}
        self._moment = time.monotonic()
        self._time_is_over = False
        self.failures: list[str] = []
        self.source: Source = _Next(self)

    def next(self) -> tuple[Job, Mapping[str, str]] | None:
        """The next run that can start, as a job."""
        self._count_shares()
        left = self._end - time.monotonic() if self._on_gpus else inf
        waiting = [
            (work, self._expected_rest(work))
            for work in self._ledger.work()
            if work.name not in self._failed and work.name not in self._allocation.running
        ]
        self._look_at_work_left()
        found = self._allocation.next(waiting, left)
        if found is None:
            return None
        work, expected, gpus = found
        self._allocation.start(work, expected, gpus)
        self.add(work.name, work.run)
        self._begun[work.name], self._shared[work.name] = time.monotonic(), 0.0
        self._first[work.name] = last_step(self._out / "runs" / work.name)
        environment = dict(self._slots[gpus[0]])
        if len(gpus) > 1:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(
                self._slots[gpu]["CUDA_VISIBLE_DEVICES"] for gpu in gpus
            )
        return make_job(work, self._out, self._revision, len(gpus)), environment

    def waiting(self) -> None:
        super().waiting()
        self._count_shares()
        if time.monotonic() > self._end:
            self._note_cut_runs()
            self._time_is_over = True
            raise TimeLimitReached("the time limit is reached")

    def stopping(self) -> None:
        """Print a line that explains the wait."""
        if self._time_is_over:
            self.say("the time limit is reached: the runs save a checkpoint and end", sys.stderr)
        else:
            super().stopping()

    def ended(self, job: Job, status: int) -> None:
        self._count_shares()
        work = self._allocation.running[job.name].work
        gpus = len(self._allocation.running[job.name].gpus)
        self._allocation.end(job.name)
        if status == 0:
            result = read_json(result_file(job.name, self._out))
            self._save(work, result, gpus)
            result_file(job.name, self._out).unlink()
            last, minutes = result["curve"][-1], result["seconds"] / 60
            score = f"{last['string_accuracy']:.3f} at {last['length']} {work.run.config.length_unit}"
            name = accuracy_name([result])
            self.say(f"{work.run}: {name} {score}, {minutes:.1f} min", sys.stdout)
        else:
            self._failed.add(job.name)
            self.failures.append(f"the run ({work.run}) failed: {reason(job, status)} ({job.log})")
            self.say(self.failures[-1], sys.stdout)
        super().ended(job, status)

    def check_time(self) -> None:
        """Raise TimeLimitReached if runs are left because the time was too short for them."""
        left = [work for work in self._ledger.work() if work.name not in self._failed]
        if left:
            self.say("no other run fits into the time that is left", sys.stdout)
            raise TimeLimitReached("the time limit is reached")

    def _save(self, work: Work, result: dict[str, Any], gpus: int) -> None:
        tests = result.pop("tests")
        if result["config"]["device"] != "cpu":
            seconds = time.monotonic() - self._begun[work.name]
            sharing = seconds / max(self._shared[work.name], 1e-9)
            if sharing > 1.01:
                result["runs_per_gpu"] = round(sharing, 2)
            if gpus > 1:
                result["gpus"] = gpus
        for stage, run in work.parts:
            self._ledger.add(stage, {**_head(stage, run), **result, "tests": tests[stage.stem]})
            self._ledger.show(stage)
        if all(stage.of_trials for stage in work.stages):
            # the model is never evaluated again, and many models of the paper's size would fill a disk
            shutil.rmtree(self._out / "runs" / work.name / MODEL, ignore_errors=True)

    def _count_shares(self) -> None:
        """Distribute the time since the last call among the runs that share a GPU."""
        now = time.monotonic()
        passed, self._moment = now - self._moment, now
        for name, one in self._allocation.running.items():
            if name in self._shared:
                self._shared[name] += passed / len(self._allocation.sharing(one.gpus[0]))

    def _look_at_work_left(self) -> None:
        """Update each run's remaining work from its progress."""
        for name, one in self._allocation.running.items():
            seconds = self._expected(one.work.run).seconds / SPEEDUP[len(one.gpus)]
            one.left = (1 - self.part_done(name)) * seconds

    def _expected(self, run: Run) -> Expected:
        """The expected time; on a CPU, runs start in the order of the figures, however long they take."""
        return self._expectations.of(run) if self._on_gpus else Expected(0.0, "assumed")

    def _expected_rest(self, work: Work) -> Expected:
        """The expected time of the steps that a run has not done yet."""
        expected = self._expected(work.run)
        done = last_step(self._out / "runs" / work.name) / work.run.config.steps
        return replace(expected, seconds=(1 - done) * expected.seconds)

    def _note_cut_runs(self) -> None:
        for name, one in self._allocation.running.items() if self._on_gpus else ():
            step = round(self.part_done(name) * one.work.run.config.steps) - self._first[name]
            seconds = max(self._shared.get(name, 0.0), 1.0) * SPEEDUP[len(one.gpus)]
            record = {"run": name, "label": one.work.run.label, "step": step}
            record |= {"steps": one.work.run.config.steps, "seconds": round(seconds, 1)}
            add_cut_run(self._out, record)


class _Next(Source):
    """The jobs of an execution as a source for ``run_from``; ``Execution.ended`` records those that ended."""

    def __init__(self, execution: Execution) -> None:
        self._execution = execution

    def next(self) -> tuple[Job, Mapping[str, str]] | None:
        return self._execution.next()

    def ended(self, job: Job) -> None:
        pass


def make_job(work: Work, out: Path, revision: str | None, gpus: int = 1) -> Job:
    """The process of a run, or with several GPUs, the launcher of its processes."""
    content = {
        "config": work.run.config.as_json(),
        "folder": str(out / "runs" / work.name),
        "tests": {stage.stem: [asdict(test) for test in stage.tests] for stage in work.stages},
        "revision": revision,
        "result": str(result_file(work.name, out)),
    }
    launcher = []
    if gpus > 1:
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(gpus)]
    module = ["-m", "synthetic_training.figures.job", json.dumps(content)]
    return Job(work.name, [sys.executable, *launcher, *module], log_of(work.run, out / "runs"))


def result_file(name: str, out: Path) -> Path:
    """The file to which a job writes its result."""
    return out / "runs" / f".{name}.result.json"


def _head(stage: Stage, run: Run) -> Result:
    head = {"figure": stage.name, "scale": stage.scale_name, "label": run.label, "panel": run.panel}
    return {**head, "seed": run.seed, "sweep": run.sweep, "run": run.name}
