"""Which run of a figure starts next, and on which GPUs."""

from dataclasses import replace
from math import inf

from synthetic_training.figures.allocation import PER_TEST, START, Allocation, warm_up
from synthetic_training.figures.estimate import Expected
from synthetic_training.figures.ledger import Work
from synthetic_training.figures.stages import read_stages


def works(count: int, priority: int = 0) -> list[Work]:
    stage = read_stages(["efficiency_50"], "paper", models=["T_rope"])[-1]
    run = stage.planned[0]
    return [
        Work(((stage, replace(run, config=replace(run.config, seed=i))),), priority) for i in range(count)
    ]


def test_no_run_starts_that_would_be_cut_off() -> None:
    one, two, three = works(3)
    start = warm_up(one)
    assert start == START  # it has no tests
    allocation = Allocation(count=2, per_gpu=2, budget=600.0, whole_runs=True)
    minute = Expected(60.0, "its speed")
    assert allocation.next([(one, minute)], start + 59) is None
    assert allocation.next([(one, minute)], start + 60) == (one, minute, (0,))
    allocation.start(one, minute, (0,))
    # the emptiest GPU first
    assert allocation.next([(two, minute)], start + 60) == (two, minute, (1,))
    allocation.start(two, minute, (1,))
    # runs that share a GPU end after the sum of their times, and a bit more
    assert allocation.next([(three, minute)], start + 120) is None
    assert allocation.next([(three, minute)], start + 140) == (three, minute, (0,))
    unknown = Expected(60.0, "assumed")
    assert allocation.next([(three, unknown)], start + 120) is None
    # its speed becomes known only if it is tried
    unknown = Expected(1e6, "assumed")
    assert allocation.next([(three, unknown)], 1.0) == (three, unknown, (0,))
    allocation.end(one.name)
    assert allocation.next([(three, minute)], start + 60) == (three, minute, (0,))


def test_runs_that_fit_go_first_and_others_fill_the_time() -> None:
    one, two = works(2)
    start = warm_up(one)
    allocation = Allocation(count=2, per_gpu=1, budget=600.0)
    minute, hours = Expected(60.0, "its speed"), Expected(9000.0, "its speed")
    earlier = Work(two.parts, -1)
    assert allocation.next([(one, minute), (earlier, hours)], start + 60) == (one, minute, (0,))
    assert allocation.next([(one, minute), (earlier, hours)], start + 59) == (earlier, hours, (0,))
    assert allocation.next([(one, hours)], start) is None  # it would end before its first step
    allocation.start(one, minute, (0,))
    assert allocation.next([(earlier, hours)], start + 1) == (earlier, hours, (1,))
    allocation.start(earlier, hours, (1,))
    assert allocation.next([(two, hours)], 600.0) is None


def test_the_time_for_the_tests_of_a_run_is_left() -> None:
    stage = read_stages(["duplicates"], "paper")[-1]
    work = Work(((stage, stage.planned[0]),), 0)
    minute = Expected(60.0, "its speed")
    allocation = Allocation(count=1, per_gpu=1, budget=600.0, whole_runs=True)
    needed = START + PER_TEST * len(stage.tests) + 60
    assert len(stage.tests) > 0
    assert allocation.next([(work, minute)], needed - 1) is None
    assert allocation.next([(work, minute)], needed) == (work, minute, (0,))


def test_a_long_run_is_split_over_idle_gpus() -> None:
    long, other = works(2)
    hours = Expected(1000.0, "the same run")
    allocation = Allocation(count=4, per_gpu=2, budget=600.0, whole_runs=True)
    assert allocation.gpus_for(long, hours) == 4  # 1,000 / 2.4 + 30 s
    assert allocation.gpus_for(long, Expected(800.0, "the same run")) == 2  # 800 / 1.6 + 30 s
    assert allocation.gpus_for(long, Expected(1500.0, "the same run")) is None  # 8 GPUs would be enough
    assert Allocation(count=4, per_gpu=1, budget=inf, whole_runs=True).gpus_for(long, hours) == 1
    odd = replace(long.run, config=replace(long.run.config, batch_size=15))
    assert allocation.gpus_for(Work(((long.stages[0], odd),), 0), hours) is None
    passes = replace(long.run, config=replace(long.run.config, batch_size=16, accumulation_steps=8))
    assert Allocation.rows_fit(Work(((long.stages[0], passes),), 0), 2)
    assert not Allocation.rows_fit(Work(((long.stages[0], passes),), 0), 4)
    short = Expected(10.0, "the same run")
    waiting = [(other, short), (long, hours)]
    assert allocation.next(waiting, 600.0) == (long, hours, (0, 1, 2, 3))
    allocation.start(long, hours, (0, 1, 2, 3))
    assert allocation.next([(other, short)], 600.0) is None  # a split run has its GPUs to itself
    allocation.end(long.name)
    allocation.start(other, short, (0,))
    assert allocation.next([(long, hours)], 600.0) is None
    # on the idle ones of the GPUs, if it ends in time
    half = Expected(800.0, "the same run")
    assert allocation.next([(long, half)], 530.0) == (long, half, (1, 2))
    assert allocation.next([(long, half)], 529.0) is None


def test_earlier_figures_go_first_and_of_each_the_runs_that_need_most_gpus() -> None:
    long, unknown, later = works(3)
    hours, slow = Expected(1000.0, "the same run"), Expected(5000.0, "assumed")
    allocation = Allocation(count=4, per_gpu=2, budget=600.0, whole_runs=True)
    assert allocation.next([(unknown, slow), (long, hours)], 600.0) == (long, hours, (0, 1, 2, 3))
    waiting = [(Work(later.parts, 1), hours), (unknown, slow)]
    assert allocation.next(waiting, 600.0) == (unknown, slow, (0,))
