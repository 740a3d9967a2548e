"""The schedule of the next calls of ``reproduce``, simulated with the expected times of the runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf

from tabulate import tabulate

from synthetic_training.figures.allocation import SHARING, Allocation
from synthetic_training.figures.estimate import Basis, Expectations, Expected
from synthetic_training.figures.ledger import Ledger, Work, add_part
from synthetic_training.figures.plan import Run
from synthetic_training.figures.progress import tokens
from synthetic_training.figures.stages import Stage

_MOST_CALLS = 200
"""Number of calls after which the simulation ends."""


@dataclass(frozen=True)
class Planned:
    """A run in the schedule.

    Attributes:
        call: the call in which it runs, from 1.
        gpus: indices of its GPUs.
        start: seconds since the start of the call.
        end: seconds since the start of the call.
        work: the run and its stages.
        seconds: seconds on each of its GPUs if it did not share them.
        basis: what the estimate of its time is based on.
        is_cut: whether the call ends before the run, which the next call continues.
    """

    call: int
    gpus: tuple[int, ...]
    start: float
    end: float
    work: Work
    seconds: float
    basis: Basis
    is_cut: bool


@dataclass(frozen=True)
class Schedule:
    """The schedule of several calls.

    Attributes:
        planned: the runs in the order of their starts.
        too_long: runs that do not fit into a call on all GPUs.
        minutes: minutes of a call; infinite for one call without a limit.
        count: number of GPUs.
    """

    planned: list[Planned]
    too_long: list[tuple[Work, Expected]]
    minutes: float
    count: int


class _Rest:
    """The remaining runs of the simulation; each uses the learning rate of the figure's file."""

    def __init__(self, ledger: Ledger, expectations: Expectations) -> None:
        self._expectations = expectations
        self._left: dict[str, float] = {}
        # at the learning rate of the figure's file, some runs may already have a result
        self._waiting = [(stage, run) for stage, run in ledger.waiting() if not ledger.has(stage, run)]
        self.works = {work.name: work for work in ledger.work()}
        self._order = {stage.stem: priority for priority, stage in enumerate(ledger.stages)}
        self._owed: dict[tuple[str, str, str | None], set[str]] = {}
        for work in self.works.values():
            for stage in work.stages:
                if stage.of_trials:
                    key = (stage.stem, work.run.label, work.run.panel)
                    self._owed.setdefault(key, set()).add(work.name)

    def expected(self, work: Work) -> Expected:
        """The expected time of a run, or of what is left of one that was cut off."""
        expected = self._expectations.of(work.run)
        return replace(expected, seconds=self._left.get(work.name, expected.seconds))

    def cut(self, work: Work, left: float) -> None:
        """Record that a run was cut off with this many seconds left."""
        self._left[work.name] = left

    def done(self, work: Work) -> None:
        """Remove a run; the runs that waited for the last trial of their model can start."""
        self.works.pop(work.name, None)
        for owed in self._owed.values():
            owed.discard(work.name)
        ready = [(stage, run) for stage, run in self._waiting if self._chosen(stage, run)]
        self._waiting = [one for one in self._waiting if one not in ready]
        for stage, run in ready:
            add_part(self.works, stage, run, self._order[stage.stem])

    def _chosen(self, stage: Stage, run: Run) -> bool:
        assert stage.trials is not None  # noqa: S101  otherwise, it does not wait
        stem = stage.trials.stem
        owed = self._owed.get((stem, run.label, run.panel), self._owed.get((stem, run.label, None), set()))
        return not owed


def simulate(
    ledger: Ledger,
    expectations: Expectations,
    count: int,
    per_gpu: int,
    minutes: float,
    *,
    whole_runs: bool = False,
) -> Schedule:
    """Simulate calls of a limited time until everything is done.

    Args:
        ledger: the stages and their results so far.
        expectations: expected times.
        count: number of GPUs.
        per_gpu: maximum number of runs that share a GPU.
        minutes: minutes of a call; infinite for one call without a limit.
        whole_runs: whether to start only runs that can end in time.
    """
    rest = _Rest(ledger, expectations)
    planned: list[Planned] = []
    for call in range(1, _MOST_CALLS + 1):
        found = _one_call(rest, Allocation(count, per_gpu, 60 * minutes, whole_runs), call)
        planned += found
        if not found:
            break
    failed = [(work, rest.expected(work)) for work in rest.works.values()]
    return Schedule(planned, failed, minutes, count)


def _one_call(rest: _Rest, allocation: Allocation, call: int) -> list[Planned]:
    now = 0.0
    found: list[Planned] = []
    starts: dict[str, tuple[float, float, Basis]] = {}
    while True:
        waiting = [
            (work, rest.expected(work)) for work in rest.works.values() if work.name not in allocation.running
        ]
        while (chosen := allocation.next(waiting, allocation.budget - now)) is not None:
            work, expected, gpus = chosen
            allocation.start(work, expected, gpus)
            starts[work.name] = now, allocation.running[work.name].left, expected.basis
            waiting = [one for one in waiting if one[0].name != work.name]
        if not allocation.running:
            return found
        now += _until_an_end(allocation, inf if allocation.whole_runs else allocation.budget - now)
        is_over = not allocation.whole_runs and now >= allocation.budget - 1e-6
        for one in [one for one in allocation.running.values() if is_over or one.left <= 1e-6]:
            allocation.end(one.work.name)
            is_cut = one.left > 1e-6
            if is_cut:
                rest.cut(one.work, one.left)
            else:
                rest.done(one.work)
            start, left, basis = starts[one.work.name]
            found.append(Planned(call, one.gpus, start, now, one.work, left - one.left, basis, is_cut))


def _until_an_end(allocation: Allocation, limit: float) -> float:
    """Advance all runs until the state of one changes, at most by ``limit``; return the elapsed seconds."""
    speeds: dict[str, float] = {}
    for one in allocation.running.values():
        busy = [sum(o.warm_up <= 0 for o in allocation.sharing(gpu)) for gpu in one.gpus]
        speeds[one.work.name] = 1.0 if max(busy) <= 1 else 1 / (max(busy) * SHARING)
    step = min(
        limit,
        *(
            one.warm_up if one.warm_up > 0 else one.left / speeds[one.work.name]
            for one in allocation.running.values()
        ),
    )
    for one in allocation.running.values():
        if one.warm_up > 0:
            one.warm_up = one.warm_up - step if one.warm_up - step > 1e-6 else 0.0
        else:
            one.left -= step * speeds[one.work.name]
    return step


def schedule_text(schedule: Schedule, calls: int) -> str:
    """The schedule as text: the first calls run by run, then totals by stage.

    Args:
        schedule: from ``simulate``.
        calls: number of calls to print run by run.
    """
    if not schedule.planned and not schedule.too_long:
        return "nothing is left to train"
    by_call: dict[int, list[Planned]] = {}
    for one in schedule.planned:
        by_call.setdefault(one.call, []).append(one)
    parts = []
    for call, runs in by_call.items():
        if call > calls:
            break
        rows = [
            [
                ", ".join(map(str, one.gpus)),
                f"{_clock(one.start)} to {_clock(one.end)}{', cut off' if one.is_cut else ''}",
                one.work.stages[0].stem,
                str(one.work.run),
                f"{tokens(one.work.run) / 1e6:,.1f}M",
                f"{one.seconds * len(one.gpus) / 60:.1f}",
                one.basis,
            ]
            for one in sorted(runs, key=lambda one: (one.gpus, one.start))
        ]
        headers = ["GPU", "time", "figure", "run", "tokens", "GPU minutes", "estimated from"]
        limit = "" if schedule.minutes == inf else f"call {call} of {schedule.minutes:g} minutes:\n\n"
        parts.append(f"{limit}{tabulate(rows, headers)}")
    if schedule.planned:
        parts.append(_sums(schedule))
    if schedule.too_long:
        rows = [
            [str(work.run), work.stages[0].stem, f"{expected.seconds / 60:.1f}"]
            for work, expected in schedule.too_long
        ]
        parts.append(
            f"These runs do not fit into {schedule.minutes:g} minutes on {_gpus(schedule)}:\n\n"
            + tabulate(rows, ["run", "figure", "GPU minutes"])
        )
    return "\n\n".join(parts)


def _sums(schedule: Schedule) -> str:
    """Runs, tokens and GPU hours by stage, and the number of calls."""
    stages: dict[str, list[Planned]] = {}
    for one in schedule.planned:
        stages.setdefault(one.work.stages[0].stem, []).append(one)
    rows = [_sum(stem, own) for stem, own in stages.items()]
    if len(rows) > 1:
        rows.append(_sum("all", schedule.planned))
    headers = ["results", "runs", "tokens", "GPU hours", "assumed", "calls"]
    table = tabulate(rows, headers, colalign=("left", *["right"] * 5))
    if schedule.minutes == inf:
        end = max(one.end for one in schedule.planned)
        return f"{_gpus(schedule)}, done after {end / 60:.0f} minutes:\n\n{table}"
    return f"{_gpus(schedule)}, calls of {schedule.minutes:g} minutes:\n\n{table}"


def _gpus(schedule: Schedule) -> str:
    return "1 GPU" if schedule.count == 1 else f"{schedule.count} GPUs"


def _sum(name: str, planned: Sequence[Planned]) -> list[str]:
    calls = sorted({one.call for one in planned})
    runs = {one.work.name: one for one in planned}.values()
    return [
        name,
        f"{len(runs)}",
        f"{sum(tokens(one.work.run) for one in runs) / 1e6:,.0f}M",
        f"{sum(one.seconds * len(one.gpus) for one in planned) / 3600:.2f}",
        f"{sum(one.basis == 'assumed' for one in runs)}",
        f"{calls[0]}" if len(calls) == 1 else f"{calls[0]} to {calls[-1]}",
    ]


def _clock(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"
