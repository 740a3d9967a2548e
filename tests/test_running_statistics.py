"""Buffers that a forward pass changes, in several processes, each of which sees other rows."""

import os
from pathlib import Path

import pytest
import torch

from synthetic_training.data.training_data import training_data
from synthetic_training.evaluation.accuracy import Shard
from synthetic_training.models.saved import load_model
from synthetic_training.training.processes import connect
from synthetic_training.training.run_folder import read_run
from synthetic_training.training.run_log import read_metrics
from tests.test_gradient_sums import run_pair as run_functions
from tests.test_train_distributed import config_file, run_pair

RUNNING_MEAN = """
import torch
from torch import nn

class RunningMean(nn.Module):
    def __init__(self, vocab_size):
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("one", torch.ones(1).expand(8))

    def forward(self, ids):
        x = self.embed(ids)
        if self.training:
            self.mean.lerp_(x.detach().mean((0, 1)), 0.5)
        return self.head((9 * (x - self.mean) * self.one).cumsum(1).tanh())
"""


def test_the_evaluated_statistics_are_those_that_are_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "running.py").write_text(RUNNING_MEAN)
    changes = {"model": "running:RunningMean", "model_args": {}, "steps": 7, "eval_every": 7, "lr": 0.05}
    changes |= {"eval_lengths": [4], "eval_examples": 200}
    ended = run_pair(tmp_path, "--config", config_file(tmp_path, **changes), "--out", "run")
    assert [status for status, *_ in ended] == [0, 0], ended
    monkeypatch.chdir(tmp_path)
    config, model = read_run(tmp_path / "run"), load_model(tmp_path / "run" / "model", trust_remote_code=True)
    (score,) = training_data(config).evaluate(model.eval(), batch_tokens=512, bf16=False, shard=Shard(0, 1))
    last = read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]
    assert 0 < score.letter_accuracy < 1
    assert last["letter_accuracy"] == pytest.approx(score.letter_accuracy, abs=1e-12)


def share(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.manual_seed(rank)
    tensors = [
        torch.randn(3), torch.randn(2, 2).bfloat16(), torch.randn(2, dtype=torch.complex64),
        torch.tensor(rank), torch.tensor([rank == 0]), torch.zeros(0), torch.randn(4, 3).double().T,
    ]  # fmt: skip
    connect().share(tensors)
    torch.save(tensors, f"{folder}/{rank}.pt")


def test_tensors_of_any_kind_become_those_of_the_first_process(tmp_path: Path) -> None:
    run_functions(share, tmp_path)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert one[3] == 0 and one[4]
