"""A model that reads rows of some lengths only is refused with one sentence, before training."""

import inspect
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.evaluate import evaluate
from synthetic_training.models.registry import build_model
from synthetic_training.models.sizes import check_forward
from synthetic_training.training.run import train
from tests.tiny_run import SETTINGS, tiny

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


class OnGpu(FewPositions):
    """Fails as on a GPU, where an index out of range is an error of a later operation."""

    def forward(self, ids: Tensor) -> Tensor:
        logits = self.head(self.embed(ids) + self.positions(torch.arange(ids.shape[1]) % 32))
        return logits if ids.shape[1] <= 32 else logits.as_subclass(FailsLater)


class FailsLater(Tensor):
    """Raises the error when something is calculated with it."""

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = super().__torch_function__(function, types, args, kwargs or {})
        if function is Tensor.all or (isinstance(result, Tensor) and result.dtype == torch.float64):
            text = "CUDA error: device-side assert triggered\nCUDA kernel errors might be reported later"
            raise torch.AcceleratorError(text)
        return result


def test_positions_out_of_range_are_one_sentence_on_a_gpu_too(tmp_path: Path) -> None:
    config = tiny(model=f"{__name__}:OnGpu", model_args={}, context_length=32, eval_lengths=(5, 40))
    reason = "an index was out of range on the GPU, such as a position beyond the model's context window"
    with pytest.raises(
        InputError, match=f"the model cannot read examples of length 40: {reason}; pass other"
    ):
        train(config, tmp_path / "run")
    with pytest.raises(
        InputError, match=f"OnGpu cannot be run with its defaults: AcceleratorError: {reason}"
    ):
        train(replace(config, context_length=33), tmp_path / "run")


class Float32Only(FewPositions):
    """Adds float32 numbers in place to products, which are bfloat16 under autocast."""

    def forward(self, ids: Tensor) -> Tensor:
        index = torch.arange(len(ids))
        return super().forward(ids).index_add(0, index, torch.zeros(*ids.shape, self.head.out_features))


def test_a_model_that_fails_in_bfloat16_can_be_trained_in_another_precision(tmp_path: Path) -> None:
    name = f"{__name__}:Float32Only"
    config = tiny(model=name, model_args={}, context_length=32, eval_lengths=(5,))
    with pytest.raises(InputError, match=r"cannot be run with .*BFloat16.*; pass --precision fp32$"):
        train(replace(config, precision="bf16"), tmp_path / "run")
    with pytest.raises(InputError, match=r"cannot read a row of .*BFloat16.*; pass --precision fp32$"):
        check_forward(name, build_model(name), 32, bf16=True)
    check_forward(name, build_model(name), 32, bf16=False)


@pytest.mark.gpu
def test_a_gpu_reports_positions_out_of_range(tmp_path: Path) -> None:
    """In a process of its own, because the error leaves the GPU unusable to a process."""
    text = inspect.getsource(FewPositions).replace("ids.shape[1])", "ids.shape[1], device=ids.device)")
    (tmp_path / "own.py").write_text(f"import torch\nfrom torch import Tensor, nn\n\n{text}")
    settings = {**SETTINGS, "model": "own:FewPositions", "model_args": {}, "device": "cuda"}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump({**settings, "eval_lengths": [5, 40]}))
    command = [sys.executable, "-m", "synthetic_training", "train", "--config", "run.yaml", "--out", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "of length 40: an index was out of range on the GPU" in done.stderr


def test_a_saved_model_is_evaluated_only_at_lengths_that_it_reads(tmp_path: Path) -> None:
    build_model("hf:xlstm", **CHUNKED).save_pretrained(tmp_path)
    out = tmp_path / "out.json"
    with pytest.raises(InputError, match="^the model cannot read the 13 tokens of examples of length 5: "):
        evaluate(EvaluateConfig(tmp_path, lengths=(5,), num_examples=2, out=out))
    assert not out.exists()
