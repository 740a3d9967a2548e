"""The simulated schedule of repeated calls of ``reproduce``."""

from pathlib import Path

import pytest

from synthetic_training.figures.estimate import Expectations, committed_results
from synthetic_training.figures.figure_file import shipped
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.schedule import Planned, schedule_text, simulate
from synthetic_training.figures.stages import read_stages

PAPER = ["length_generalization", "duplicates", "ngram_lookup", "ngram_lookup_by_length", "efficiency_50"]


def test_the_schedule_of_the_shipped_figures(tmp_path: Path) -> None:
    stages = read_stages(PAPER, "paper")
    ledger = Ledger(stages, tmp_path)
    expectations = Expectations(committed_results())
    schedule = simulate(ledger, expectations, count=4, per_gpu=3, minutes=9, whole_runs=True)
    names = [one.work.name for one in schedule.planned]
    wanted = {run.name for stage in stages for run in stage.planned}
    assert len(names) == len(set(names)) and set(names) == wanted and not schedule.too_long
    assert all(0 <= one.start < one.end <= 540 + 1e-6 for one in schedule.planned)
    for call in {one.call for one in schedule.planned}:
        for gpu in range(4):
            here = [one for one in schedule.planned if one.call == call and gpu in one.gpus]
            for one in here:
                at_once = [other for other in here if other.start <= one.start < other.end]
                assert len(at_once) <= 3 and (len(at_once) == 1 or all(len(o.gpus) == 1 for o in at_once))
    ended = {one.work.name: (one.call, one.end) for one in schedule.planned}
    for one in schedule.planned:
        run, trials = one.work.run, one.work.stages[0].trials
        if trials is not None:
            tried = [r for r in trials.planned if r.label == run.label and r.panel in (run.panel, None)]
            assert tried and all(ended[trial.name] <= (one.call, one.start) for trial in tried)
    shared = [one for one in schedule.planned if len(one.work.stages) > 1]
    assert {stage.name for one in shared for stage in one.work.stages} == set(PAPER[:4])
    text = schedule_text(schedule, calls=1)
    assert "call 1 of 9 minutes" in text and "call 2" not in text and "efficiency_50_rates_paper" in text
    # results of earlier calls are not repeated
    ledger.take(shipped()["duplicates"].parents[1] / "results")
    again = simulate(ledger, expectations, count=4, per_gpu=3, minutes=9, whole_runs=True)
    assert 0 < len(again.planned) < len(schedule.planned)
    few = simulate(ledger, expectations, count=1, per_gpu=1, minutes=0.5, whole_runs=True)
    assert few.too_long and not few.planned
    assert schedule_text(few, 0).startswith("These runs do not fit into 0.5 minutes on 1 GPU:")


def test_a_schedule_of_finished_runs_says_that_nothing_is_left(tmp_path: Path) -> None:
    ledger = Ledger(read_stages(["duplicates"], "paper"), tmp_path)
    ledger.take(shipped()["duplicates"].parents[1] / "results")
    schedule = simulate(ledger, Expectations(committed_results()), count=4, per_gpu=3, minutes=9)
    assert schedule_text(schedule, 1) == "nothing is left to train"


def test_runs_that_are_cut_off_are_continued_in_the_schedule(tmp_path: Path) -> None:
    stages = read_stages(["length_generalization"], "paper")
    ledger, expectations = Ledger(stages, tmp_path), Expectations(committed_results())
    schedule = simulate(ledger, expectations, count=2, per_gpu=2, minutes=4)
    assert not schedule.too_long and all(0 <= one.start < one.end <= 240 + 1e-6 for one in schedule.planned)
    parts: dict[str, list[Planned]] = {}
    for one in schedule.planned:
        parts.setdefault(one.work.name, []).append(one)
    assert parts.keys() == {run.name for stage in stages for run in stage.planned}
    for own in parts.values():
        assert [one.is_cut for one in own] == [True] * (len(own) - 1) + [False]
        assert len({one.call for one in own}) == len(own)  # at most one part in each call
        assert sum(one.seconds for one in own) == pytest.approx(expectations.of(own[0].work.run).seconds)
    cut = [one for one in schedule.planned if one.is_cut]
    assert cut and all(one.end == pytest.approx(240) for one in cut)
    text = schedule_text(schedule, calls=100)
    assert text.count(", cut off") == len(cut) and "do not fit" not in text
    hours = sum(expectations.of(run).seconds for stage in stages for run in stage.planned) / 3600
    (line,) = (line.split() for line in text.splitlines() if line.startswith("all "))
    assert (int(line[1]), float(line[3])) == (len(parts), pytest.approx(hours, abs=0.01))
