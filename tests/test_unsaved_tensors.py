"""Modules with tensors that safetensors, or the loading of a saved model, does not support."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model
from synthetic_training.training.run import train
from tests.tiny_run import tiny, weights

HERE = __name__


class Base(nn.Module):
    """Sums embeddings, in a way that depends on their order."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.embed(ids).cumsum(1).tanh().cumsum(1) / 8)


class View(Base):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.register_buffer("row", self.head.weight.data[1])


class Overlapping(Base):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        table = torch.ones(9)
        self.register_buffer("table", table)
        self.register_buffer("start", table[:3])


class Extra(Base):
    def get_extra_state(self) -> dict[str, int]:
        return {"version": 1}

    def set_extra_state(self, state: object) -> None:
        pass


class Grows(Base):
    def __init__(self, vocab_size: int, start: Tensor | None = None) -> None:
        super().__init__(vocab_size)
        self.register_buffer("seen", start)

    def forward(self, ids: Tensor) -> Tensor:
        if self.training:
            self.seen = torch.zeros(2 if self.seen is None else len(self.seen) + 1)
        return super().forward(ids)


class GrowsFromNothing(Grows):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size, torch.zeros(0))


class Sparse(Base):
    def __init__(self, vocab_size: int, persistent: bool = True) -> None:
        super().__init__(vocab_size)
        self.register_buffer("links", torch.eye(8).to_sparse(), persistent=persistent)

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) + (self.links @ self.head.weight.T).sum()


class Shapeless(Base):
    """Its constructor draws the shape of a buffer, so that a loaded model has another."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.register_buffer("chosen", torch.arange(int(torch.randint(10**6, ()))))


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("View", "row and head.weight share memory, which they would not do after loading; clone one"),
        ("Overlapping", "table and start share memory"),
        ("Extra", "safetensors saves only tensors, and _extra_state is a dict; let get_extra_state return"),
        (
            "Grows",
            r"the shape of seen changes in training, here from no tensor to \(4,\); register it in",
        ),
        ("GrowsFromNothing", r"the shape of seen changes in training, here from \(0,\) to \(3,\)"),
        (
            "Sparse",
            "safetensors saves only dense tensors, and links is sparse; build it in the constructor, and",
        ),
        ("Shapeless", "it cannot be loaded again: the saved model has weights of another shape: .*chosen"),
    ],
)
def test_what_cannot_be_saved_is_named(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^mine cannot be saved: {sentence}") as refused:
        check_own_model("mine", build_model(f"{HERE}:{name}"), 16)
    assert "\n" not in str(refused.value)


def test_a_sparse_buffer_may_be_built_again() -> None:
    assert check_own_model("mine", build_model(f"{HERE}:Sparse", persistent=False), 16) == []


class Halves(Base):
    """Has an expanded buffer, two halves of one tensor, and buffers without elements or without a value."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.register_buffer("scale", torch.full((1,), 2.0).expand(8))
        cos, sin = torch.linspace(0, 1, 16).chunk(2)
        for name, buffer in {"cos": cos, "sin": sin, "empty": torch.zeros(0), "none": None}.items():
            self.register_buffer(name, buffer)

    def forward(self, ids: Tensor) -> Tensor:
        return super().forward(ids) * (self.scale * self.cos * self.sin).sum()


def test_a_run_with_views_and_expanded_buffers_resumes(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"model": f"{HERE}:Halves", "model_args": {}, "steps": 6, "eval_every": 6}
    config = tiny(**settings)
    out = tmp_path / "run"
    train(config, out)
    trained = weights(out)
    assert load_model(out / "model", trust_remote_code=True).module.scale.tolist() == [2.0] * 8
    shutil.rmtree(out / "model")
    train(config, out, resume=True)
    assert weights(out) == trained
