"""A run that is killed at any moment and resumed ends bitwise like an undisturbed run."""

import hashlib
import json
import logging
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file
from torch import Tensor

from dataset_builders import InputError
from synthetic_training.__main__ import main
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.training.checkpoint import Checkpoints
from synthetic_training.training.run import train
from synthetic_training.training.run_log import MetricsLog, Record
from tests.tiny_run import metrics_without_times, start_training, tiny, weights

Whole = tuple[bytes, list[dict[str, object]]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Weights and metrics of the undisturbed run."""
    out = tmp_path_factory.mktemp("whole") / "run"
    process = start_training(tiny(), out)
    process.join(120)
    return weights(out), metrics_without_times(out)


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was killed after the checkpoints at steps 8 and 12."""
    out = tmp_path_factory.mktemp("killed") / "run"
    kill_when(out, lambda: (out / "checkpoints" / "step_12").exists())
    for late in (out / "checkpoints").glob("*step_*"):
        if late.name not in ("step_8", "step_12"):
            shutil.rmtree(late)
    return out


@pytest.fixture
def half(tmp_path: Path, killed: Path) -> Path:
    """A copy of the killed run."""
    return shutil.copytree(killed, tmp_path / "half")


def kill_when(out: Path, moment: Callable[[], bool], resume: bool = False) -> None:
    """Train until the moment, then send SIGKILL."""
    process = start_training(tiny(), out, resume)
    while process.is_alive() and not moment():
        time.sleep(0.0005)
    process.kill()
    process.join(60)


def finish(out: Path, whole: Whole, resume: bool = True) -> None:
    process = start_training(tiny(), out, resume)
    process.join(120)
    assert process.exitcode == 0
    assert weights(out) == whole[0]
    assert metrics_without_times(out) == whole[1]
    assert not [left.name for left in (out / "checkpoints").iterdir() if left.name.startswith(".")]


def killed_again_and_again(out: Path, whole: Whole, kills: int, seed: int) -> None:
    """Kill the run at random moments, each later than the last, then finish it."""
    rng = random.Random(seed)
    size = sum(len(json.dumps(line)) for line in whole[1])
    metrics = out / "metrics.jsonl"
    for share in sorted(rng.random() for _ in range(kills)):
        kill_when(out, WrittenBeyond(metrics, share * size), resume=(out / "run.json").exists())
    finish(out, whole, resume=(out / "run.json").exists())


class WrittenBeyond:
    """Whether a file has more than a number of bytes."""

    def __init__(self, file: Path, size: float) -> None:
        self._file, self._size = file, size

    def __call__(self) -> bool:
        return self._file.exists() and self._file.stat().st_size >= self._size


def test_killed_at_two_random_moments(tmp_path: Path, whole: Whole) -> None:
    killed_again_and_again(tmp_path / "run", whole, kills=2, seed=time.time_ns())


@pytest.mark.slow
def test_killed_at_twenty_random_moments(tmp_path: Path, whole: Whole) -> None:
    for i in range(10):
        killed_again_and_again(tmp_path / f"run_{i}", whole, kills=2, seed=i)


def test_killed_while_a_checkpoint_is_written(tmp_path: Path, whole: Whole) -> None:
    out = tmp_path / "run"
    partial = out / "checkpoints" / ".step_12.partial"
    for _ in range(10):
        shutil.rmtree(out, ignore_errors=True)
        kill_when(out, lambda: (partial / "model.safetensors").exists())
        if partial.exists():
            break
    assert partial.exists() and not (out / "checkpoints" / "step_12").exists()
    finish(out, whole)


def test_killed_while_the_model_is_written(half: Path, whole: Whole) -> None:
    (half / ".model.partial").mkdir()
    (half / ".model.partial" / "config.json").write_text("{")
    finish(half, whole)
    assert not (half / ".model.partial").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "trainer.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
def test_a_damaged_checkpoint_is_told_and_passed_over(
    half: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, damage: str
) -> None:
    file = half / "checkpoints" / "step_12" / name
    data = bytearray(file.read_bytes())
    if damage == "cut":
        file.write_bytes(data[:-9])
    elif damage == "flipped":
        data[len(data) // 2] ^= 64
        file.write_bytes(data)
    else:
        file.unlink()
    with caplog.at_level(logging.WARNING):
        found = Checkpoints(half).newest()
    assert found is not None and found[0].name == "step_8" and found[1].step == 8
    assert "step_12" in caplog.text and "using the previous checkpoint" in caplog.text


def test_a_run_goes_on_from_before_a_damaged_checkpoint(half: Path, whole: Whole) -> None:
    (half / "checkpoints" / "step_12" / "optimizer.safetensors").write_bytes(b"")
    finish(half, whole)


def test_a_run_whose_checkpoints_are_all_damaged_is_refused(half: Path) -> None:
    for folder in (half / "checkpoints").iterdir():
        (folder / "config.json").unlink()
    with pytest.raises(InputError, match="all checkpoints in .* are damaged"):
        train(tiny(), half, resume=True)


def test_another_configuration_is_refused_with_what_differs(half: Path) -> None:
    with pytest.raises(InputError, match="has other settings: steps, lr; resume it without changes") as error:
        train(tiny(steps=40, lr=1.0, log_every=1), half, resume=True)
    assert "\n" not in str(error.value)
    with pytest.raises(SystemExit, match="has other settings: steps;"):
        main(["train", "--out", str(half), "--resume", "--steps", "31"])


def test_a_run_is_not_begun_over_another(half: Path) -> None:
    before = (half / "metrics.jsonl").read_bytes()
    with pytest.raises(InputError, match="contains a run; pass --resume to continue it"):
        train(tiny(), half)
    assert (half / "metrics.jsonl").read_bytes() == before


def test_the_command_line_needs_no_settings_to_resume(
    half: Path, whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["train", "--out", str(half), "--resume", "--log-every", "3"])
    assert f"\ntrained: {half / 'model'}" in f"\n{capsys.readouterr().out}"
    main(["train", "--out", str(half), "--resume"])  # finished: nothing is left to do
    assert f"already trained: {half / 'model'}" in capsys.readouterr().out
    assert metrics_without_times(half) == whole[1]


def test_resuming_where_no_run_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run in .* to continue: it has no run.json"):
        train(tiny(), tmp_path, resume=True)
    (tmp_path / "run.json").write_text(json.dumps({"config": {"stpes": 3}}))
    with pytest.raises(InputError, match="there is no setting 'stpes'"):
        train(tiny(), tmp_path, resume=True)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match="is damaged: it is not JSON"):
        train(tiny(), tmp_path, resume=True)


# ---- Ctrl-C, SIGTERM, and two processes at once


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_after_its_step_and_what_the_message_says_is_true(
    tmp_path: Path,
    whole: Whole,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    status: int,
) -> None:
    out, handler = tmp_path / "run", signal.getsignal(number)
    (tmp_path / "run.json").write_text(json.dumps(tiny().as_json()))
    write = MetricsLog.write

    def write_and_send(log: MetricsLog, record: Record) -> None:
        write(log, record)
        if record["step"] == 15:
            os.kill(os.getpid(), number)

    monkeypatch.setattr(MetricsLog, "write", write_and_send)
    with pytest.raises(SystemExit) as ended:
        main(["train", "--config", str(tmp_path / "run.json"), "--out", str(out)])
    assert ended.value.code == status and signal.getsignal(number) == handler
    shown = capsys.readouterr().err
    assert "interrupted after step 15, which is saved" in shown
    assert f"\npython -m synthetic_training train --resume --out {out}\n" in shown
    assert sorted(f.name for f in (out / "checkpoints").iterdir()) == ["step_12", "step_15"]
    monkeypatch.setattr(MetricsLog, "write", write)
    main(["train", "--resume", "--out", str(out)])
    assert weights(out) == whole[0] and metrics_without_times(out) == whole[1]


def test_a_folder_is_trained_in_by_one_process_at_a_time(half: Path, whole: Whole, tmp_path: Path) -> None:
    lock = FileLock(half / ".lock")
    sentence = "another process is training in .*; wait for it to end"
    with lock:
        with pytest.raises(InputError, match=sentence):
            train(tiny(), half, resume=True)
        with pytest.raises(InputError, match="contains a run"):
            train(tiny(), half)
    new = tmp_path / "new"
    new.mkdir()
    with FileLock(new / ".lock"):  # another process is about to begin there
        with pytest.raises(InputError, match=sentence):
            train(tiny(), new)
        assert [file.name for file in new.iterdir()] == [".lock"]
    finish(half, whole)


# ---- weights that cannot be used


def spoil(checkpoint: Path, change: Callable[[dict[str, Tensor]], object]) -> None:
    """Change the weights of a checkpoint, and update the checksums."""
    tensors = load_file(checkpoint / "model.safetensors")
    change(tensors)
    save_file(tensors, checkpoint / "model.safetensors", {"format": "pt"})
    content = json.loads((checkpoint / "trainer.json").read_text())
    data = (checkpoint / "model.safetensors").read_bytes()
    content["sha256"]["model.safetensors"] = hashlib.sha256(data).hexdigest()
    (checkpoint / "trainer.json").write_text(json.dumps(content))


BIAS = "gpt_neox.layers.0.mlp.dense_4h_to_h.bias"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t[BIAS].fill_(float("nan")), f"its weight {BIAS} has values that are not finite"),
        (lambda t: t.pop(BIAS), f"lacks the weights {BIAS}; it cannot be used"),
        (lambda t: t.update(other=t[BIAS].clone()), "has weights that the model does not use: other;"),
        (lambda t: t.update({BIAS: t[BIAS][:3].clone()}), "step_12"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_by_training_and_evaluation(
    half: Path, change: Callable[[dict[str, Tensor]], object], sentence: str
) -> None:
    checkpoint = half / "checkpoints" / "step_12"
    spoil(checkpoint, change)
    for use in (
        lambda: train(tiny(), half, resume=True),
        lambda: evaluate(EvaluateConfig(checkpoint, lengths=(2,), num_examples=4, device="cpu")),
    ):
        with pytest.raises(InputError, match=re.escape(sentence)) as error:
            use()
        assert "\n" not in str(error.value)
    assert not (half / "model").exists()


def test_pickled_weights_are_refused(half: Path) -> None:
    checkpoint = half / "checkpoints" / "step_12"
    torch.save(load_file(checkpoint / "model.safetensors"), checkpoint / "pytorch_model.bin")
    (checkpoint / "model.safetensors").unlink()
    with pytest.raises(InputError, match="contains no model that can be loaded"):
        evaluate(EvaluateConfig(checkpoint, lengths=(2,), num_examples=4, device="cpu"))
