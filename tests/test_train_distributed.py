"""Several processes that share each batch, compared with one process."""

import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from synthetic_training.training.run import train
from synthetic_training.training.run_log import read_metrics
from tests.forked import Forked
from tests.tiny_run import SETTINGS, start_training, tiny

CHANGES: dict[str, Any] = {"steps": 12, "eval_every": 6, "eval_examples": 17, "accumulation_steps": 2}

TORCHRUN = ("torch.distributed.run", "--nproc_per_node", "2", "--master_port", "0")
ACCELERATE = (
    *("accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1"),
    *("--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
)


def start(folder: Path, launcher: tuple[str, ...], *flags: str) -> Forked:
    """``LAUNCHER -m synthetic_training train FLAGS``, in a folder: the launcher starts new interpreters."""
    launcher = (*launcher[:-1], str(free_port()))
    command = ["-m", *launcher, "-m", "synthetic_training", "train", *flags]
    return Forked(command, folder, {**os.environ, "OMP_NUM_THREADS": "1"})


def run_pair(folder: Path, *flags: str) -> list[tuple[int, str, str]]:
    """``train FLAGS`` in two processes as a launcher would start them: status, output and errors of each."""
    launched = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = ["-m", "synthetic_training", "train", *flags]
    pair = [
        Forked(command, folder, {**os.environ, **launched, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(2)
    ]
    shown = [process.communicate(timeout=200) for process in pair]
    return [(process.wait(), *texts) for process, texts in zip(pair, shown, strict=True)]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        port: int = free.getsockname()[1]
    return port


def config_file(folder: Path, **changes: Any) -> str:
    (folder / "run.yaml").write_text(yaml.safe_dump({**SETTINGS, **changes}))
    return "run.yaml"


def wait_until(condition: Callable[[], bool], process: Forked) -> None:
    until = time.monotonic() + 120
    while not condition() and process.poll() is None:
        assert time.monotonic() < until
        time.sleep(0.01)


def assert_same_metrics(one: Path, other: Path) -> None:
    """Check that metrics are equal up to rounding, except times."""
    records = [read_metrics(run / "metrics.jsonl") for run in (one, other)]
    assert len(records[0]) == len(records[1])
    for single, shared in zip(*records, strict=True):
        assert shared.pop("kind") == single.pop("kind")
        times = {key: shared[key] for key in ("seconds", "tokens_per_second") if key in shared}
        assert shared == pytest.approx({**single, **times}, rel=1e-4, abs=1e-6)


def test_a_killed_run_continues_on_two_processes_with_the_losses_of_one(tmp_path: Path) -> None:
    """Also if each of them needs fewer passes per step."""
    config = tiny(**CHANGES)
    train(config, tmp_path / "one")
    killed = start_training(config, tmp_path / "two")
    while killed.is_alive() and not (tmp_path / "two" / "checkpoints" / "step_4").exists():
        time.sleep(0.0005)
    killed.kill()
    killed.join(60)
    assert not (tmp_path / "two" / "model").exists()
    one, other = run_pair(tmp_path, "--resume", "--out", "two", "--accumulation-steps", "1")
    assert (one[0], other[0]) == (0, 0), (one, other)
    assert one[1].count("trained:") == 1 and not other[1]
    assert_same_metrics(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (("--warmup-steps", "9"), "error: warmup_steps = 9 must be smaller than steps = 4;"),
        (
            ("--accumulation-steps", "4"),
            "error: a batch_size of 4 rows cannot be split among 2 processes in 4 passes",
        ),
    ],
)
def test_invalid_input_is_reported_once(tmp_path: Path, flags: tuple[str, ...], sentence: str) -> None:
    config = config_file(tmp_path, steps=4, warmup_steps=3)
    (status, out, err), other = run_pair(tmp_path, "--config", config, "--out", "run", *flags)
    assert status == 1 and not out
    assert err.count("error: ") == 1 and sentence in err
    assert other[0] == 1 and "error: " not in "".join(other[1:])
    assert not (tmp_path / "run").exists()


OWN = '''
import os
from pathlib import Path
import torch
from torch import nn

class Own(nn.Module):
    """Leaves a file for each process that saves a model, and may have a random matrix that is not saved."""

    def __init__(self, vocab_size, saved=True):
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.random = torch.eye(8) if saved else torch.randn(8, 8)
        self.register_state_dict_pre_hook(lambda *_: Path("saved_by_" + os.environ["RANK"]).touch())

    def forward(self, ids):
        return self.head(self.embed(ids).cumsum(1) @ self.random)
'''


@pytest.mark.parametrize("saved", [True, False])
def test_only_the_first_process_tries_to_save_an_own_model(tmp_path: Path, saved: bool) -> None:
    (tmp_path / "own.py").write_text(OWN)
    changes = {
        "model": "own:Own",
        "model_args": {"saved": saved},
        "steps": 2,
        "warmup_steps": 0,
        "eval_every": 2,
    }
    (status, _, err), other = run_pair(tmp_path, "--config", config_file(tmp_path, **changes), "--out", "run")
    assert [file.name for file in tmp_path.glob("saved_by_*")] == ["saved_by_0"]
    assert (status, other[0]) == ((0, 0) if saved else (1, 1)), err
    if not saved:
        assert err.count("error: own:Own has other logits after it is saved and loaded") == 1
        assert "error: " not in "".join(other[1:]) and not (tmp_path / "run").exists()


FULL = """
import atexit
import os
import time
import torch
from torch import nn

class Full(nn.Module):
    def __init__(self, vocab_size, rank, late):
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.rank = str(rank)
        if os.environ["RANK"] == "1":
            atexit.register(time.sleep, late)

    def forward(self, ids):
        if self.training and len(ids) > 1 and os.environ["RANK"] == self.rank:  # not in the checks before
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.head(self.embed(ids).cumsum(1))
"""


@pytest.mark.parametrize(
    ("full", "late", "lost"), [(0, 1, ""), (1, 0, "error: another process of this run has ended;")]
)
def test_a_process_whose_gpu_alone_is_full_reports_it(
    tmp_path: Path, full: int, late: int, lost: str
) -> None:
    """Process 1 may end later than process 0, which keeps the store if there is no launcher."""
    (tmp_path / "own.py").write_text(FULL)
    config = config_file(tmp_path, model="own:Full", model_args={"rank": full, "late": late})
    ended = run_pair(tmp_path, "--config", config, "--out", "run")
    assert [status for status, _, _ in ended] == [1, 1]
    err, other = ended[full][2], ended[1 - full][2]
    assert "error: the GPU has too little memory for another 2.00 GiB; reduce batch_size" in err
    assert lost in other and other.count("error: ") == bool(lost) and "Traceback" not in err + other


def test_a_launcher_that_ends_all_processes_with_the_first_lets_it_report(tmp_path: Path) -> None:
    process = start(tmp_path, ACCELERATE, "--steps", "0", "--out", "run")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 1 and not out
    assert err.count("error: ") == 1 and "error: steps = 0: " in err


def test_an_interrupted_run_keeps_a_checkpoint_and_continues_with_one_process(tmp_path: Path) -> None:
    changes = {"steps": 200, "log_every": 150, "eval_every": 200, "save_every": 200}
    config = config_file(tmp_path, **changes)
    process = start(tmp_path, TORCHRUN, "--config", config, "--out", "run")
    wait_until(lambda: (tmp_path / "run" / "metrics.jsonl").exists(), process)
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=200)
    assert process.returncode != 0
    (checkpoint,) = (tmp_path / "run" / "checkpoints").iterdir()
    step = int(checkpoint.name.removeprefix("step_"))
    assert 0 < step < 200
    assert err.count(f"interrupted after step {step}, which is saved") == 1
    train(tiny(**changes), tmp_path / "run", resume=True)
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 200
