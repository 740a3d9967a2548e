"""The runs of the precision study: continued, recorded once, and reported if they fail."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.files import read_json
from dataset_builders.workers import Job, Watcher
from synthetic_training.config import TrainConfig
from synthetic_training.precision import study
from synthetic_training.precision.study import PAPER_RUN, Study, run_job, run_study
from synthetic_training.training.run import train
from synthetic_training.training.run_folder import METRICS
from synthetic_training.training.run_log import read_lines, read_metrics

TINY = TrainConfig(
    model="mamba",
    model_args={"hidden_size": 16, "num_hidden_layers": 1, "state_size": 4},
    max_length=8,
    context_length=32,
    batch_size=2,
    steps=4,
    log_every=2,
    eval_examples=2,
    device="cpu",
)


RUN = replace(TINY, precision="bf16", save_every=2)


def of(folder: Path, **options: Any) -> Study:
    options = {
        "out": folder / "out.jsonl",
        "folder": folder / "runs",
        "seeds": (0,),
        "settings": TINY,
    } | options
    return Study(**{"arms": ("bf16",), **options})


def test_a_run_that_was_not_recorded_is_not_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(study, "run_jobs", lambda jobs, *_: started.extend(job.name for job in jobs))
    config = RUN.as_json()
    folder = tmp_path / "runs" / "bf16-0"
    run_job({"arm": "bf16", "folder": str(folder), "keep_model": False, "config": config})
    run_study(of(tmp_path, settings=replace(TINY, lr=1e-2), out=tmp_path / "other.jsonl"))
    assert started == ["bf16-0"] and not (tmp_path / "other.jsonl").exists()
    run_study(of(tmp_path, seeds=(0, 1)))
    assert started == ["bf16-0", "bf16-1"]
    (line,) = read_lines(tmp_path / "out.jsonl")
    assert (line["arm"], line["seed"], line["curve"][-1]["step"]) == ("bf16", 0, 4)
    run_study(of(tmp_path))
    assert read_lines(tmp_path / "out.jsonl") == [line]


def test_a_failed_run_is_an_error_after_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = RUN.as_json()

    def end(jobs: list[Job], _slots: Any, watcher: Watcher) -> None:
        first, killed, last = jobs
        first.log.write_text("error: it is full\n")
        watcher.ended(first, 1)
        killed.log.write_text("10%|#")
        watcher.ended(killed, -signal.SIGKILL)
        job = {"arm": "bf16", "folder": str(tmp_path / "runs" / "bf16-2"), "keep_model": False}
        run_job({**job, "config": {**config, "seed": 2}})
        watcher.ended(last, 0)

    monkeypatch.setattr(study, "run_jobs", end)
    sentence = (
        r"bf16-0 failed: it is full \(.*bf16-0.log\); bf16-1 failed: it was killed, perhaps .*bf16-1.log"
    )
    with pytest.raises(InputError, match=sentence):
        run_study(of(tmp_path, seeds=(0, 1, 2)))
    assert [line["seed"] for line in read_lines(tmp_path / "out.jsonl")] == [2]
    assert "bf16-2: 0.000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 3}, "seed = 3 would have no effect in a study; pass --seeds"),
        ({"precision": "fp32"}, "precision = fp32 would have no effect in a study; pass --arms"),
    ],
)
def test_settings_without_an_effect_are_refused(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    assert PAPER_RUN.seed == TINY.seed
    with pytest.raises(InputError, match=sentence):
        run_study(of(tmp_path, settings=replace(TINY, **changes)))
    assert not [*tmp_path.iterdir()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes in /proc")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_run_outlives_the_study(number: signal.Signals, tmp_path: Path) -> None:
    words = (
        "--device cpu --compile off --arms bf16 --seeds 0 --steps 1000000 --max-length 8 --context-length 32"
    )
    words += " --batch-size 2 --out out.jsonl --folder runs --model-args hidden_size=16 num_hidden_layers=1"
    command = [sys.executable, "-m", "synthetic_training.precision.study", *words.split()]
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, env=here, stderr=subprocess.PIPE, text=True)
    run = tmp_path / "runs" / "bf16-0"
    while not (run / "metrics.jsonl").exists():
        assert process.poll() is None
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(number)
    message = process.communicate(timeout=60)[1]
    end = time.monotonic() + 20
    while any(alive(int(child)) for child in children):
        assert time.monotonic() < end
        time.sleep(0.1)
    if number == signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM
        assert message == "interrupted; run the study's command again to continue\n"
        assert [*(run / "checkpoints").glob("step_*")]
        log = (tmp_path / "runs" / "bf16-0.log").read_text()
        assert log.endswith("interrupted; run the study's command again to continue\n")


def test_a_run_that_was_interrupted_is_continued(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    train(RUN, folder)
    shutil.rmtree(folder / "model")
    shutil.rmtree(folder / "checkpoints" / "step_4", ignore_errors=True)
    first, *_ = (one["loss"] for one in read_metrics(folder / METRICS) if one["kind"] == "train")
    run_job({"arm": "bf16", "folder": str(folder), "keep_model": False, "config": RUN.as_json()})
    line = read_json(tmp_path / "run.json")
    assert line["losses"]["2"] == first and line["curve"][-1]["step"] == 4


@pytest.mark.parametrize("keep", [False, True])
def test_a_finished_run_has_its_losses_and_keeps_its_model_only_if_asked_to(
    tmp_path: Path, keep: bool
) -> None:
    folder = tmp_path / "run"
    job = {"arm": "bf16", "folder": str(folder), "keep_model": keep, "config": RUN.as_json()}
    run_job(job)
    line = read_json(tmp_path / "run.json")
    assert list(line["losses"]) == ["2", "4"] and line["losses"]["4"] == line["final_loss"]
    assert (line["arm"], line["seed"], line["curve"][-1]["step"]) == ("bf16", 0, 4)
    assert folder.exists() == keep
