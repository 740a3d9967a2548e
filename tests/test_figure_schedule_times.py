"""The simulated schedule of ``reproduce``, compared with times that were worked out by hand."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from synthetic_training.figures.allocation import START
from synthetic_training.figures.estimate import Expected
from synthetic_training.figures.ledger import Ledger, Work
from synthetic_training.figures.plan import Run
from synthetic_training.figures.reproduce import reproduce
from synthetic_training.figures.schedule import Schedule, schedule_text, simulate
from synthetic_training.figures.stages import read_stages
from tests.tiny_figure import a_figure


class Known:
    """Expectations that are known by the seed of a run, or otherwise by its model."""

    def __init__(self, seconds: Mapping[object, float]) -> None:
        self._seconds = seconds

    def of(self, run: Run) -> Expected:
        seconds = self._seconds.get(run.config.seed, self._seconds.get(run.label))
        return Expected(100.0, "assumed") if seconds is None else Expected(seconds, "its speed")


def scheduled(
    seconds: Mapping[object, float], count: int, per_gpu: int, minutes: float, *, whole_runs: bool = True
) -> Schedule:
    """The schedule of runs without tests, which differ in the seed."""
    stage = read_stages(["efficiency_50"], "paper", models=["T_rope"])[-1]
    run = stage.planned[0]
    works = [Work(((stage, replace(run, config=replace(run.config, seed=seed))),), 0) for seed in seconds]
    ledger: Any = SimpleNamespace(stages=[stage], work=lambda: works, waiting=list)
    known: Any = Known({k: v for k, v in seconds.items() if v})
    return simulate(ledger, known, count, per_gpu, minutes, whole_runs=whole_runs)


def times(schedule: Schedule) -> dict[int, tuple[int, tuple[int, ...], float, float]]:
    return {
        one.work.run.config.seed: (
            one.call,
            one.gpus,
            pytest.approx(one.start, abs=1e-3),
            pytest.approx(one.end, abs=1e-3),
        )
        for one in schedule.planned
    }


def test_runs_that_share_a_gpu_slow_each_other_down_while_both_use_it() -> None:
    # both warm up for 30 s; then each runs at 1 / 2.3 of its speed, until the shorter one ends after 138 s
    found = times(scheduled({1: 120.0, 2: 60.0}, count=1, per_gpu=2, minutes=10))
    assert START == 30
    assert found == {1: (1, (0,), 0.0, 30 + 138 + 60), 2: (1, (0,), 0.0, 30 + 138)}


def test_a_run_that_warms_up_does_not_slow_down_the_others() -> None:
    found = times(scheduled({1: 100.0, 2: 10.0, 3: 50.0}, count=1, per_gpu=2, minutes=10))
    # 1 and 3 start at 0 and share the GPU from 30 s on; 3 ends after 50 * 2.3 s, when 1 has 50 s left.
    # 2 starts then, and warms up for 30 s; 1 has 20 s left, and they share until 2 ends after 10 * 2.3 s.
    assert found[3] == (1, (0,), 0.0, 145.0)
    assert found[2] == (1, (0,), 145.0, 145 + 30 + 23)
    assert found[1] == (1, (0,), 0.0, 145 + 30 + 23 + 10)


def test_what_does_not_fit_into_a_call_is_in_the_next_one_or_split_or_left() -> None:
    schedule = scheduled({1: 60.0, 2: 60.0, 3: 120.0, 4: 1000.0}, count=2, per_gpu=1, minutes=2)
    # 120 s on two GPUs take 75 s; 60 s fit into a call once on each GPU
    assert times(schedule) == {
        3: (1, (0, 1), 0.0, 105.0),
        1: (2, (0,), 0.0, 90.0),
        2: (2, (1,), 0.0, 90.0),
    }
    assert [work.run.config.seed for work, _ in schedule.too_long] == [4]
    lines = schedule_text(schedule, calls=2).splitlines()
    starts = [line.split()[:4] for line in lines if line.count(":") == 2 and " to " in line]
    assert [" ".join(words) for words in starts] == ["0, 1 0:00 to", "0 0:00 to 1:30", "1 0:00 to 1:30"]
    assert "These runs do not fit into 2 minutes on 2 GPUs:" in lines
    assert lines[-1].split()[-2:] == ["efficiency_50_paper", "16.7"]


def test_what_is_left_of_a_run_that_is_cut_off_is_in_the_next_call() -> None:
    # each call warms up for 30 s and trains for 90 s; run 2, which fits, goes first
    schedule = scheduled({1: 100.0, 2: 30.0}, count=1, per_gpu=1, minutes=2, whole_runs=False)
    assert [
        (one.work.run.config.seed, one.call, one.start, one.end, one.seconds, one.is_cut)
        for one in schedule.planned
    ] == [
        (2, 1, 0.0, 60.0, 30.0, False),
        (1, 1, 60.0, 120.0, 30.0, True),
        (1, 2, 0.0, 100.0, 70.0, False),
    ]


def test_a_model_of_unknown_speed_is_counted_and_the_table_has_hours_and_calls() -> None:
    schedule = scheduled({1: 3600.0, 2: 0.0}, count=1, per_gpu=1, minutes=62)
    text = schedule_text(schedule, calls=1)
    assert [line.split()[0:4] for line in text.splitlines() if " to " in line][:1] == [
        ["0", "0:00", "to", "60:30"]
    ]
    (sums,) = (line for line in text.splitlines() if line.startswith("efficiency_50_paper"))
    assert sums.split()[1] == "2" and sums.split()[-5:] == ["1.03", "1", "1", "to", "2"]
    assert "call 2 of" not in text and "do not fit" not in text
    text = schedule_text(scheduled({1: 60.0, 2: 60.0}, count=1, per_gpu=1, minutes=62), calls=1)
    (sums,) = (line for line in text.splitlines() if line.startswith("efficiency_50_paper"))
    assert sums.split()[-2:] == ["0", "1"]


def test_without_a_time_limit_the_schedule_says_when_all_runs_are_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = schedule_text(
        scheduled({1: 3600.0, 2: 1800.0, 3: 1800.0}, count=2, per_gpu=1, minutes=inf), calls=1
    )
    assert "\n2 GPUs, done after 61 minutes:\n" in text and "call 1 of" not in text
    file = a_figure(tmp_path / "one.yaml", tests=[])
    reproduce(str(file), out=tmp_path / "out", dry_run=True, gpus=1)
    printed = capsys.readouterr().out
    assert "\n1 GPU, done after " in printed and "2 to do, 1 at a time\n" in printed


def test_a_models_runs_start_when_its_last_trial_has_ended(tmp_path: Path) -> None:
    rates = {"others": [1e-3, 1e-2], "lstm": [1e-2, 1e-1]}
    file = a_figure(tmp_path / "one.yaml", x="length", learning_rates=rates, seeds=[3, 4])
    ledger: Any = Ledger(read_stages([str(file)], "small"), tmp_path / "out")
    known: Any = Known({"T_hard_alibi": 10.0, "lstm": 1000.0})
    schedule = simulate(ledger, known, count=6, per_gpu=1, minutes=60)
    started = {
        (one.work.run.label, one.start) for one in schedule.planned if not one.work.stages[0].of_trials
    }
    assert started == {("T_hard_alibi", START + 10), ("lstm", START + 1000)}
    sums = [line.split()[:2] for line in schedule_text(schedule, 0).splitlines()[-3:]]
    assert sums == [["one_rates_small", "4"], ["one_small", "4"], ["all", "8"]]
    assert len(schedule.planned) == 4 + 4
