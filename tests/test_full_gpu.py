"""Errors of a full GPU, whenever they occur, are one sentence that says what needs less memory."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.figures import job
from synthetic_training.theory import __main__ as theory
from synthetic_training.training.run import train
from tests.tiny_run import tiny

ERRORS = {
    "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79.10 GiB"),
    "cuda": torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
    "cublas": RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
}


class Full(nn.Module):
    """Fails when it is built, at rows of some length, or in a training step, as on a full GPU."""

    def __init__(self, vocab_size: int, error: str, moment: str | int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.error, self.moment = ERRORS[error], moment
        self.fail("build")

    def fail(self, *moments: str | int) -> None:
        if self.moment in moments:
            raise self.error

    def forward(self, ids: Tensor) -> Tensor:
        self.fail(ids.shape[1], "step" if self.training else "evaluation")
        return self.head(self.embed(ids).cumsum(1))


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("moment", ["build", "evaluation", 1, "step"])
def test_a_full_gpu_is_one_sentence(error: str, moment: str | int, tmp_path: Path) -> None:
    config = tiny(model=f"{__name__}:Full", model_args={"error": error, "moment": moment})
    needed = "another 2.00 GiB" if error == "torch" else "what is needed"
    with pytest.raises(
        InputError, match=f"^the GPU has too little memory for {needed}; reduce batch_size or"
    ):
        train(config, tmp_path / "run")


def test_a_model_of_transformers_that_fills_the_gpu_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ERRORS["cuda"]

    monkeypatch.setattr(nn.LSTM, "forward", full)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1}
    with pytest.raises(InputError, match="^the GPU has too little memory for what is needed; reduce"):
        train(tiny(model="lstm", model_args=sizes), tmp_path / "run")


def test_a_table_of_the_construction_that_fills_the_gpu_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ERRORS["torch"]

    monkeypatch.setattr("synthetic_training.theory.measure.copy", full)
    out = tmp_path / "table"
    with pytest.raises(SystemExit, match=r"^error: the GPU has too .* 2\.00 GiB; reduce --longest, or pass"):
        theory.main(["table", "--strings", "4", "--longest", "12", "--device", "cpu", "--out", str(out)])
    assert not out.exists()


def test_keys_of_a_figure_that_fill_the_gpu_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise ERRORS["cuda"]

    monkeypatch.setattr("synthetic_training.evaluation.keys.forced_answers", full)
    config = tiny(steps=1, warmup_steps=0, eval_every=1)
    train(config, tmp_path / "run")
    test = {"lengths": [4], "k": None, "num_examples": 4, "batch_size": 4, "keys": True}
    with pytest.raises(
        InputError, match="^the GPU has too little memory for what is needed; reduce batch_size"
    ):
        job._test(tmp_path / "run", test, config.as_json())
