"""Results that a ledger adds, replaces and counts as finished, with the committed results of one figure."""

import shutil
from functools import cache
from pathlib import Path

import pytest

from dataset_builders import InputError
from synthetic_training.figures.estimate import RESULTS
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.plan import Result, key_of
from synthetic_training.figures.results import read_results, write_results
from synthetic_training.figures.stages import Stage, read_stages


@cache
def stages() -> list[Stage]:
    return read_stages(["duplicates"], "paper")


@cache
def stage() -> Stage:
    (found,) = (one for one in stages() if one.stem == "duplicates_paper")
    return found


@cache
def lines() -> list[Result]:
    return read_results(RESULTS / "duplicates_paper.jsonl")


def ledger_of(folder: Path, results: list[Result]) -> Ledger:
    """A ledger that has these results of the figure, and all trials of learning rates."""
    folder.mkdir()
    shutil.copy(RESULTS / "length_generalization_rates_paper.jsonl", folder)
    write_results(folder / "duplicates_paper.jsonl", results)
    return Ledger(stages(), folder)


def seconds(ledger: Ledger) -> dict[str, float]:
    results = ledger.results(stage())
    assert len({key_of(one) for one in results}) == len(results)
    return {one["run"]: one["seconds"] for one in results}


def test_results_of_earlier_calls_are_added_and_replace_none(tmp_path: Path) -> None:
    own = lines()[1:3]
    ledger = ledger_of(tmp_path / "out", own)
    write_results(
        tmp_path / "known" / "duplicates_paper.jsonl", [{**line, "seconds": 1.0} for line in lines()]
    )
    ledger.take(tmp_path / "known")
    assert len(lines()) > 3
    assert seconds(ledger) == {line["run"]: line["seconds"] if line in own else 1.0 for line in lines()}
    assert read_results(ledger.file(stage())) == own
    ledger.save()
    assert sorted(map(str, read_results(ledger.file(stage())))) == sorted(map(str, ledger.results(stage())))


def test_a_new_result_replaces_the_one_at_another_learning_rate(tmp_path: Path) -> None:
    old = {**lines()[0], "run": "old", "config": {**lines()[0]["config"], "lr": 5.0}}
    ledger = ledger_of(tmp_path / "out", [old, lines()[1]])
    ledger.add(stage(), lines()[0])
    assert seconds(ledger) == {line["run"]: line["seconds"] for line in lines()[:2]}
    assert read_results(ledger.file(stage())) == ledger.results(stage())


def test_results_that_others_have_added_since_are_kept(tmp_path: Path) -> None:
    """By another call that was about to end, or by merging packed results."""
    ledger = ledger_of(tmp_path / "out", lines()[:1])
    ledger.take(RESULTS)
    other = [{**lines()[0], "seconds": 1.0}, lines()[1], {**lines()[2], "seed": 77, "run": "of another call"}]
    write_results(ledger.file(stage()), other)
    ledger.save()
    assert seconds(ledger)["of another call"] == lines()[2]["seconds"]
    assert len(read_results(ledger.file(stage()))) == len(lines()) + 1
    write_results(ledger.file(stage()), [*other, {**lines()[3], "seed": 78}])
    ledger.add(stage(), {**lines()[1], "seconds": 2.0})
    found = {key_of(one): one for one in read_results(ledger.file(stage()))}
    assert len(found) == len(lines()) + 2
    assert [found[key_of(one)]["seconds"] for one in lines()[:2]] == [1.0, 2.0]


def test_a_result_counts_at_the_chosen_learning_rate_alone(tmp_path: Path) -> None:
    ready = ledger_of(tmp_path / "ready", []).work()
    run, line = next((work.run, line) for work in ready for line in lines() if key_of(line) == work.run.key)
    config = {**line["config"], "lr": run.config.lr}
    chosen = {**line, "run": run.name, "config": config}
    other = {**line, "run": "other", "config": {**config, "lr": 2 * run.config.lr}}
    for name, result, finished in (("chosen", chosen, {run.key}), ("other", other, set())):
        ledger = ledger_of(tmp_path / name, [result])
        assert ledger.finished(stage()) == finished
        assert {work.run.key for work in ready} - {work.run.key for work in ledger.work()} == finished
    with pytest.raises(InputError, match=r"duplicates_paper.jsonl has \(.*\) with the name renamed, not"):
        ledger_of(tmp_path / "renamed", [{**chosen, "run": "renamed"}])
    ledger = ledger_of(tmp_path / "own", [])
    with pytest.raises(InputError, match=r"duplicates_paper.jsonl has \(.*\) with the name renamed, not"):
        ledger.take(tmp_path / "renamed")
