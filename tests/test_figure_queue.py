"""The queue over figures: learning rates, shared runs, and results that travel."""

import json
import sys
from pathlib import Path

import pytest

from dataset_builders import InputError
from dataset_builders.interruption import TimeLimitReached
from dataset_builders.workers import Job
from synthetic_training.figures import execute
from synthetic_training.figures import stages as stages_module
from synthetic_training.figures.estimate import (
    CUT,
    Expectations,
    Expected,
    add_cut_run,
    committed_results,
    cut_runs,
)
from synthetic_training.figures.figure_file import shipped
from synthetic_training.figures.ledger import Work
from synthetic_training.figures.packing import main as packing
from synthetic_training.figures.packing import merge, pack
from synthetic_training.figures.plan import Run
from synthetic_training.figures.reproduce import reproduce
from synthetic_training.figures.results import read_results, write_results
from synthetic_training.figures.stages import read_stages
from synthetic_training.training.run_folder import METRICS
from synthetic_training.training.run_log import read_lines
from tests.test_figure_allocation import works
from tests.tiny_figure import SMALL, a_figure

PAPER = ["length_generalization", "duplicates", "ngram_lookup", "ngram_lookup_by_length", "efficiency_50"]


def test_every_estimate_of_the_paper_scale_has_a_basis() -> None:
    expectations = Expectations(committed_results())
    for stage in read_stages(PAPER, "paper"):
        for run in stage.planned:
            expected = expectations.of(run)
            assert expected.basis != "assumed" and 10 < expected.seconds < 1000
    run = read_stages(["length_generalization"], "paper", models=["lstm"])[-1].planned[0]
    record = {"run": run.name, "seconds": 300.0, "step": 1000, "steps": 8000}
    assert Expectations(committed_results(), [record]).of(run) == Expected(2400.0, "the same run")


_FAKE = """
import json, pathlib, sys
lr = json.loads(sys.argv[1])["config"]["lr"]
content, result = json.loads(sys.argv[1]), pathlib.Path(json.loads(sys.argv[1])["result"])
accuracy = .9 if lr == 1e-2 else .2
point = {"step": 30, "examples": 100, "tokens": 9, "length": 5, "string_accuracy": accuracy}
point |= {"letter_accuracy": accuracy, "string_accuracy_stderr": .01}
score = {"n": None, "string_accuracy": accuracy, "string_accuracy_stderr": .01, "letter_accuracy": accuracy}
score |= {"letter_accuracy_stderr": .01, "exact_match": accuracy}
tests = {stem: [{"task": t["task"], **score, "n": t["n"] or 3, "length": n, "num_examples": t["num_examples"]}
                for t in some for n in t["lengths"]] for stem, some in content["tests"].items()}
pathlib.Path(result).write_text(json.dumps({
    "config": content["config"], "parameters": 1, "git_revision": "a", "versions": {}, "machine": "m",
    "seconds": 1.0, "tokens": 3840, "tokens_per_second": 9.0, "curve": [point], "final_loss": 1.0,
    "tests": tests}))
"""


def _fake_job(work: Work, out: Path, revision: object, gpus: int) -> Job:
    real = _MAKE_JOB(work, out, None, gpus)
    return Job(work.name, [sys.executable, "-S", "-c", _FAKE, real.command[-1]], real.log)


_MAKE_JOB = execute.make_job


def test_rates_are_tried_chosen_and_used_and_shared_runs_are_done_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "make_job", _fake_job)
    monkeypatch.setattr(stages_module, "draw", lambda *_: [])
    rates = {"others": [1e-3, 1e-2], "lstm": [1e-2, 1e-1]}
    one = a_figure(tmp_path / "one.yaml", x="length", learning_rates=rates, seeds=[3, 4])
    tests = [{"task": "duplicate_ngram", "n": 2, "lengths": [6], "num_examples": 10}]
    two = a_figure(tmp_path / "two.yaml", x="length", learning_rates=rates, seeds=[3, 4], tests=tests)
    out, known = tmp_path / "out", tmp_path / "known"
    stages = read_stages([str(one), str(two)], "small")
    made = reproduce([str(one), str(two)], "small", out=out)
    assert {file.name for file in made if file.suffix == ".jsonl"} == {f"{s.stem}.jsonl" for s in stages}
    tried = read_results(out / "one_rates_small.jsonl")
    # in the order in which they ended
    assert sorted((r["label"], r["sweep"]["lr"], r["config"]["steps"], r["seed"]) for r in tried) == [
        (label, lr, 10, 3) for label in ("T_hard_alibi", "lstm") for lr in rates.get(label, rates["others"])
    ]
    assert "at the edge" in (out / "one_rates_small.md").read_text()
    lines = {name: read_results(out / f"{name}_small.jsonl") for name in ("one", "two")}
    for name, own in lines.items():
        assert sorted((r["label"], r["seed"], r["config"]["lr"]) for r in own) == [
            (label, seed, 1e-2) for label in ("T_hard_alibi", "lstm") for seed in (3, 4)
        ], name
        assert all(r["sweep"] == {} for r in own)
    assert {r["run"] for r in lines["one"]} == {r["run"] for r in lines["two"]}
    assert [t["task"] for t in lines["two"][0]["tests"]] == ["duplicate_ngram"]
    # both files tried the same rates; the second one used the runs that the first had done
    logs = sorted((out / "runs").glob("*.log"))
    assert len(logs) == 4 + 4

    # on another machine, results that are there are not repeated
    pack(out, known)
    merge(sorted(known.glob("*.tar.gz")), known)
    monkeypatch.setattr(execute, "make_job", lambda *_: pytest.fail("nothing is left to do"))
    again = reproduce([str(one), str(two)], "small", out=tmp_path / "new", known=known)
    assert {f.name: f.read_bytes() for f in again if f.suffix == ".jsonl"} == {
        f.name: f.read_bytes() for f in made if f.suffix == ".jsonl"
    }
    with pytest.raises(InputError, match="none is not a folder; pass one with results of reproduce"):
        reproduce(str(one), out=out, resume=True, known=tmp_path / "none")


def test_a_run_that_does_not_fit_into_the_time_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(execute, "make_job", _fake_job)
    monkeypatch.setattr(
        "synthetic_training.figures.reproduce.worker_slots", lambda gpu: [{"CUDA_VISIBLE_DEVICES": "0"}]
    )

    def expected(self: Expectations, run: Run) -> Expected:
        return Expected(1e4 if run.label == "lstm" else 1.0, "its speed")

    monkeypatch.setattr(Expectations, "of", expected)
    file = a_figure(tmp_path / "one.yaml", settings={**SMALL, "device": "auto"}, tests=[])
    with pytest.raises(
        TimeLimitReached, match="the time limit is reached: 1 of 2 runs finished, with results in"
    ):
        reproduce(str(file), out=tmp_path / "out", minutes=2, whole_runs=True)
    shown = capsys.readouterr().out
    assert "no other run fits into the time that is left" in shown
    assert "T_hard_alibi, seed 3: string accuracy 0.200 at 5 letters, 0.0 min" in shown
    results = tmp_path / "out" / "one_small.jsonl"
    assert [one["label"] for one in read_results(results)] == ["T_hard_alibi"]

    # what a run did in an earlier call takes no time in this one
    run = next(run for run in read_stages([str(file)], "small")[-1].planned if run.label == "lstm")
    (tmp_path / "out" / "runs" / run.name).mkdir(parents=True)
    (tmp_path / "out" / "runs" / run.name / METRICS).write_text(
        json.dumps({"step": run.config.steps - 1}) + "\n"
    )
    monkeypatch.setattr(Expectations, "of", lambda *_: Expected(20.0 * run.config.steps, "its speed"))
    reproduce(str(file), out=tmp_path / "out", minutes=1, whole_runs=True, resume=True)
    assert [one["label"] for one in read_results(results)] == ["T_hard_alibi", "lstm"]


def test_a_run_that_takes_several_calls_starts_in_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "make_job", _fake_job)
    monkeypatch.setattr(
        "synthetic_training.figures.reproduce.worker_slots", lambda gpu: [{"CUDA_VISIBLE_DEVICES": "0"}]
    )
    monkeypatch.setattr(Expectations, "of", lambda *_: Expected(1e4, "its speed"))
    file = a_figure(tmp_path / "one.yaml", settings={**SMALL, "device": "auto"}, tests=[])
    reproduce(str(file), out=tmp_path / "out", minutes=2)
    found = read_results(tmp_path / "out" / "one_small.jsonl")
    assert [one["label"] for one in found] == ["T_hard_alibi", "lstm"]


def test_packed_results_have_limited_size_and_are_merged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = shipped()["duplicates"].parents[1] / "results"
    lines = read_results(results / "duplicates_paper.jsonl")
    out, to, into = tmp_path / "out", tmp_path / "to", tmp_path / "into"
    (out / "runs" / "a").mkdir(parents=True)
    with pytest.raises(InputError, match="contains no results"):
        pack(out, to)
    (out / "runs" / "a" / "checkpoints" / "step_20").mkdir(parents=True)
    write_results(out / "duplicates_paper.jsonl", lines[2:])
    cut = {"run": "a", "label": "a", "step": 20, "steps": 30, "seconds": 4.0}
    (out / CUT).write_text(json.dumps(cut) + "\n")
    for name in ("run.json", "metrics.jsonl", "checkpoints/step_20/model.safetensors"):
        (out / "runs" / "a" / name).write_text("{}\n")
    large = out / "runs" / "large" / "checkpoints" / "step_90"
    large.mkdir(parents=True)
    (large / "model.safetensors").write_bytes(b"\0" * 3_000_000)
    packing(["pack", str(out), "--to", str(to), "--largest", "1"])
    archives = sorted(to.iterdir())
    assert [file.name for file in archives] == ["results.tar.gz", "unfinished_a.tar.gz"]
    with pytest.raises(
        InputError, match="to contains archives, which are not overwritten; pass another folder"
    ):
        pack(out, to)
    other = tmp_path / "other"
    assert pack(out, other, largest=1, most=1) == [other / "results.tar.gz"]

    into.mkdir()
    other = {**lines[2], "config": {**lines[2]["config"], "lr": 5.0}}
    write_results(into / "duplicates_paper.jsonl", [*lines[:2], other])
    made = merge(archives, into, tmp_path / "runs")
    assert read_results(into / "duplicates_paper.jsonl") == [*lines[:2], *lines[2:]]
    assert {file.suffix for file in made} == {".jsonl", ".png", ".svg", ".md"}
    assert cut_runs(into) == [cut] and read_lines(into / CUT) == [cut]
    assert (tmp_path / "runs" / "runs" / "a" / "checkpoints" / "step_20" / "model.safetensors").exists()
    capsys.readouterr()
    packing(["merge", *map(str, archives), "--into", str(into)])
    assert capsys.readouterr().out == "written: nothing new\n"
    archives[0].write_bytes(b"no archive")
    with pytest.raises(SystemExit, match="error: .*results.tar.gz cannot be unpacked"):
        packing(["merge", str(archives[0]), "--into", str(into)])


def test_a_split_run_is_started_by_the_launcher(tmp_path: Path) -> None:
    (work,) = works(1)
    made = execute.make_job(work, tmp_path, "abc", gpus=2)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    assert made.command[1:6] == launcher and made.command[6:8] == ["-m", "synthetic_training.figures.job"]
    content = json.loads(made.command[-1])
    assert content["revision"] == "abc" and content["tests"] == {"efficiency_50_paper": []}


def test_a_record_of_a_cut_run_does_not_continue_a_half_line(tmp_path: Path) -> None:
    (tmp_path / CUT).write_text('{"run": "a"}\n{"ru')
    add_cut_run(tmp_path, {"run": "b"})
    assert cut_runs(tmp_path) == [{"run": "a"}, {"run": "b"}]
