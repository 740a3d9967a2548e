"""What ``reproduce`` does while runs are in progress, with a clock and results of the test's own."""

import json
from math import inf
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest

from dataset_builders import InputError
from dataset_builders.interruption import TimeLimitReached
from dataset_builders.workers import Job
from synthetic_training.figures import execute
from synthetic_training.figures.allocation import Allocation
from synthetic_training.figures.estimate import Expected, cut_runs
from synthetic_training.figures.execute import Execution, result_file
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.results import read_results
from synthetic_training.figures.stages import read_stages
from synthetic_training.training.run_folder import MODEL
from tests.test_reproduce_progress import write_step
from tests.tiny_figure import a_figure


class Runs:
    """Two runs of 100 s each, or of other times, and their execution on GPUs 3 and 5, or on fewer."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        seconds = options.pop("seconds", 100.0)
        figure = {"tests": [], **options.pop("figure", {})}
        options = {"count": 1, "per_gpu": 2, "budget": inf, **options}
        self.now, self.end = 0.0, 1000.0
        monkeypatch.setattr(execute, "time", SimpleNamespace(monotonic=lambda: self.now))
        monkeypatch.setattr(Ledger, "show", lambda *_: [])
        stages = read_stages([str(a_figure(folder / "one.yaml", **figure))], "small")
        self.stage, self.out = stages[0], folder / "out"
        self.ledger = Ledger(stages, self.out)
        slots = [{"CUDA_VISIBLE_DEVICES": name} for name in "35"[: options["count"]]]
        expectations: Any = SimpleNamespace(of=lambda run: Expected(seconds, "its speed"))
        self.execution = Execution(
            self.ledger, Allocation(**options), slots, self.out, "abc", expectations, self.end
        )

    def start(self) -> list[tuple[Job, dict[str, str]]]:
        """Start what can start now."""
        started = []
        while (found := self.execution.source.next()) is not None:
            job, environment = found
            self.execution.started(job, 0)
            started.append((job, dict(environment)))
        return started

    def succeed(self, job: Job) -> None:
        """End a run with a result."""
        content = json.loads(job.command[-1])
        point = {"length": 5, "string_accuracy": 0.5, "string_accuracy_stderr": 0.0, "letter_accuracy": 0.5}
        result = {
            "config": {**content["config"], "device": "cuda"},
            "seconds": 1.0,
            "tokens_per_second": 1.0,
            "curve": [{"step": 30, "examples": 1, "tokens": 1, **point}],
            "tests": {stem: [] for stem in content["tests"]},
        }
        result_file(job.name, self.out).parent.mkdir(parents=True, exist_ok=True)
        result_file(job.name, self.out).write_text(json.dumps(result))
        self.execution.ended(job, 0)

    def result(self, job: Job) -> dict[str, Any]:
        (found,) = (one for one in read_results(self.ledger.file(self.stage)) if one["run"] == job.name)
        return found


def test_a_result_says_how_many_runs_shared_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(tmp_path, monkeypatch)
    (first, environment), (second, other) = runs.start()
    assert environment == other == {"CUDA_VISIBLE_DEVICES": "3"}
    runs.now = 60.0
    runs.succeed(first)
    runs.now = 120.0
    runs.succeed(second)
    assert runs.result(first)["runs_per_gpu"] == 2.0
    assert runs.result(second)["runs_per_gpu"] == 1.33  # 120 s, of which 30 s and 60 s were its own
    assert "gpus" not in runs.result(first)
    assert not result_file(first.name, runs.out).exists()
    assert runs.start() == []


def test_a_run_with_a_gpu_of_its_own_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(tmp_path, monkeypatch, count=2, per_gpu=1)
    (first, environment), (_, other) = runs.start()
    assert [environment, other] == [{"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"}]
    runs.now = 60.0
    runs.succeed(first)
    assert not {"runs_per_gpu", "gpus"} & runs.result(first).keys()


@pytest.mark.parametrize(
    ("figure", "kept"), [({}, True), ({"learning_rates": {"others": [1e-3, 1e-2]}}, False)]
)
def test_models_of_trials_of_learning_rates_are_deleted(
    figure: dict[str, Any], kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not before their results are saved: a model is all that is left of a run that has ended."""
    runs = Runs(tmp_path, monkeypatch, figure=figure)
    (job, _), *_ = runs.start()
    model = runs.out / "runs" / job.name / MODEL
    model.mkdir(parents=True)
    (model / "model.safetensors").write_bytes(b"")
    with monkeypatch.context() as full_disk, pytest.raises(InputError, match="disk"):
        full_disk.setattr(Ledger, "add", mock.Mock(side_effect=InputError("the disk is full")))
        runs.succeed(job)
    assert model.exists()
    (again, _), *_ = runs.start()
    assert again.name == job.name
    runs.succeed(again)
    assert model.exists() is kept
    assert runs.result(job)["label"] == "T_hard_alibi"


def test_a_split_run_gets_all_of_its_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs(tmp_path, monkeypatch, seconds=800.0, count=2, budget=600.0, whole_runs=True)
    ((job, environment),) = runs.start()
    assert environment == {"CUDA_VISIBLE_DEVICES": "3,5"}
    assert job.command[1:6] == ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    runs.now = 60.0
    runs.succeed(job)
    assert runs.result(job)["gpus"] == 2 and "runs_per_gpu" not in runs.result(job)


def test_runs_that_the_time_limit_cuts_off_leave_a_record_of_their_speed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs(tmp_path, monkeypatch)
    for run in runs.stage.planned:
        write_step(runs.out / "runs" / run.name, 5)  # in an earlier call
    runs.start()
    write_step(runs.out / "runs" / runs.stage.planned[0].name, 20)
    runs.now = runs.end
    runs.execution.waiting()
    runs.now += 1
    with pytest.raises(TimeLimitReached):
        runs.execution.waiting()
    runs.execution.stopping()
    assert "the time limit is reached: the runs save a checkpoint and end" in capsys.readouterr().err
    cut = {one["label"]: one for one in cut_runs(runs.out)}
    assert {label: (one["step"], one["steps"], one["seconds"]) for label, one in cut.items()} == {
        "T_hard_alibi": (15, 30, 500.5),
        "lstm": (0, 30, 500.5),
    }
    assert {one["run"] for one in cut.values()} == {run.name for run in runs.stage.planned}


def test_the_record_of_a_split_run_that_is_cut_off_has_its_seconds_on_one_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path, monkeypatch, seconds=800.0, count=2, budget=600.0, whole_runs=True)
    ((job, _),) = runs.start()
    write_step(runs.out / "runs" / job.name, 20)
    runs.now = runs.end + 1
    with pytest.raises(TimeLimitReached):
        runs.execution.waiting()
    (record,) = cut_runs(runs.out)
    assert (record["step"], record["seconds"]) == (20, 1601.6)  # 1,001 s on two GPUs, at 1.6 times the speed


def test_a_run_that_is_killed_does_not_give_its_progress_bar_as_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path, monkeypatch)
    started = runs.start()
    for (job, _), status in zip(started, (-9, -11), strict=True):
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text("  0%|          | 0/2667 [00:00<?, ?step/s]")
        runs.execution.ended(job, status)
    killed, crashed = runs.execution.failures
    assert ") failed: it was killed, perhaps because the machine ran out of memory (" in killed
    assert ") failed: it was terminated by signal 11 (" in crashed


def test_a_run_that_fails_is_not_started_again_and_is_no_work_that_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs(tmp_path, monkeypatch, per_gpu=1)
    ((first, _),) = runs.start()
    first.log.parent.mkdir(parents=True, exist_ok=True)
    first.log.write_text("error: it is too large\n")
    runs.execution.ended(first, 1)
    (failure,) = runs.execution.failures
    assert ") failed: it is too large (" in failure and failure in capsys.readouterr().out
    ((second, _),) = runs.start()
    assert second.name != first.name
    with pytest.raises(TimeLimitReached):
        runs.execution.check_time()
    runs.succeed(second)
    runs.execution.check_time()
    assert runs.start() == []


def test_a_run_starts_beside_another_one_as_soon_as_both_fit_into_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path, monkeypatch, whole_runs=True)
    runs.now = runs.end - 200
    ((first, _),) = runs.start()  # both together would take 30 + 200 * 1.15 s
    write_step(runs.out / "runs" / first.name, 27)
    ((second, _),) = runs.start()  # of 30 steps, three are left
    assert second.name != first.name
