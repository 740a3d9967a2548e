"""A model that reads rows of some lengths only is refused with one sentence, before training."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.models.registry import build_model
from synthetic_training.training.run import train
from tests.tiny_run import tiny

CHUNKED = {
    "mode": "train", "hidden_size": 16, "num_heads": 2, "num_hidden_layers": 1, "chunk_size": 16,
}  # fmt: skip
"""xLSTM in a mode in which rows must be multiples of its chunks."""


def test_rows_of_training_and_of_evaluation_are_tried_first(tmp_path: Path) -> None:
    for length, message in (
        (50, "hf:xlstm cannot read a row of 50 tokens with these sizes: .*; pass another --context-length"),
        (48, r"cannot read the \d+ tokens of examples of length .* 16.*; pass other --eval-lengths, or"),
    ):
        config = tiny(model="hf:xlstm", model_args=CHUNKED, context_length=length)
        with pytest.raises(InputError, match=message):
            train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


class FewPositions(nn.Module):
    """A user's own model, which reads rows of at most 32 tokens; nothing in a configuration says so."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embed, self.positions = nn.Embedding(vocab_size, 8), nn.Embedding(32, 8)
        self.head = nn.Linear(8, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embed(ids) + self.positions(torch.arange(ids.shape[1])))


def test_examples_are_also_tried_with_the_users_own_model(tmp_path: Path) -> None:
    config = tiny(model=f"{__name__}:FewPositions", model_args={}, context_length=32, eval_lengths=(5, 40))
    with pytest.raises(InputError, match="the 83 tokens of examples of length 40: .*; pass other --eval-"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_saved_model_is_evaluated_only_at_lengths_that_it_reads(tmp_path: Path) -> None:
    build_model("hf:xlstm", **CHUNKED).save_pretrained(tmp_path)
    out = tmp_path / "out.json"
    with pytest.raises(InputError, match="^the model cannot read the 13 tokens of examples of length 5: "):
        evaluate(EvaluateConfig(tmp_path, lengths=(5,), num_examples=2, out=out))
    assert not out.exists()
