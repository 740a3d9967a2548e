"""What is checked of a user's own model before training, on small modules with the faults of real ones."""

import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model
from synthetic_training.training.run import train
from tests.tiny_run import tiny

HERE = __name__
LENGTH = 48


class Causal(nn.Module):
    """The logits at a position depend on the mean of the embeddings up to it, and on the last two."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.mix(self.embed(ids)))

    def mix(self, x: Tensor) -> Tensor:
        place = torch.arange(1, x.shape[1] + 1)[:, None]
        return x.cumsum(1) / place + nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]


class InChunks(Causal):
    """Is not causal within chunks of four tokens."""

    def mix(self, x: Tensor) -> Tensor:
        padded = nn.functional.pad(x, (0, 0, 0, -x.shape[1] % 4))
        return x + padded.unflatten(1, (-1, 4)).mean(2).repeat_interleave(4, 1)[:, : x.shape[1]]


class InChunksFromTheEnd(InChunks):
    def mix(self, x: Tensor) -> Tensor:
        return super().mix(x.flip(1)).flip(1)


class ZeroAtFirst(Causal):
    """Sees the future through a layer whose weights are 0 before training."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.out = nn.Linear(8, 8)
        nn.init.zeros_(self.out.weight)

    def mix(self, x: Tensor) -> Tensor:
        return super().mix(x) + self.out(x.mean(1, keepdim=True).expand_as(x))


class NotInitialised(Causal):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.head.weight = nn.Parameter(torch.full_like(self.head.weight, torch.nan))


class EvenLengths(Causal):
    def mix(self, x: Tensor) -> Tensor:
        return super().mix(x.unflatten(1, (-1, 2)).flatten(1, 2))


class NotSaved(Causal):
    """Projects by a random matrix that is neither a parameter nor a buffer."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.random = torch.randn(8, 8)

    def mix(self, x: Tensor) -> Tensor:
        return super().mix(x) @ self.random


class SharedMemory(Causal):
    """Two parameters in the same memory, which safetensors cannot save."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.again = nn.Parameter(self.head.weight.data)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("InChunks", "it is not causal: its logits depend on later tokens"),
        ("InChunksFromTheEnd", "it is not causal"),
        ("ZeroAtFirst", "it is not causal"),
        ("NotInitialised", "the logits of it are not finite before training; does its constructor set all"),
        (
            "EvenLengths",
            "it must read rows of any number of tokens, but for 1 it raises .*; pad inside forward",
        ),
        ("NotSaved", "it has other logits after it is saved and loaded; register each tensor"),
    ],
)
def test_a_model_without_meaningful_results_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        check_own_model("it", build_model(f"{HERE}:{name}"), LENGTH)


class Random(Causal):
    def mix(self, x: Tensor) -> Tensor:
        return super().mix(nn.functional.dropout(x))


class RandomOfNumPy(Causal):
    def mix(self, x: Tensor) -> Tensor:
        return super().mix(x) * (1 + random.random() + np.random.rand())


class Later(Causal):
    """Depends on the number of tokens that follow, as positions from 0 to 1 do."""

    def mix(self, x: Tensor) -> Tensor:
        return super().mix(x) + torch.linspace(0, 1, x.shape[1])[:, None]


class AcrossRows(Causal):
    """Takes the first dimension for the length, as recurrent layers of PyTorch do by default."""

    def mix(self, x: Tensor) -> Tensor:
        return super().mix(x) + x.cumsum(0)


class LastToken(Causal):
    def mix(self, x: Tensor) -> Tensor:
        return x


class AnyOrder(Causal):
    def mix(self, x: Tensor) -> Tensor:
        return x + x.cumsum(1)


class Counts(Causal):
    """Caches constants of positions in a buffer, as rotary embeddings do."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.register_buffer("known", torch.zeros(64, 8), persistent=False)
        self.rows = 0

    def mix(self, x: Tensor) -> Tensor:
        if self.rows < x.shape[1]:
            self.rows = x.shape[1]
            self.known[: self.rows] = torch.arange(self.rows).cos()[:, None]
        return super().mix(x) * self.known[: x.shape[1]]


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("Random", "random in evaluation mode, so results vary"),
        ("RandomOfNumPy", "random in evaluation mode, so results vary"),
        ("Later", "depend on the number of tokens that follow, so forced and generated answers may differ"),
        ("AcrossRows", "depend on the other rows of the batch; ids have the shape .batch, length."),
        ("LastToken", "do not depend on earlier tokens, so it cannot learn to copy"),
        ("AnyOrder", "do not depend on the order of earlier tokens"),
        ("Causal", None),
        ("Counts", None),
    ],
)
def test_behaviour_that_is_rarely_intended_is_a_warning(name: str, warning: str | None) -> None:
    model = build_model(f"{HERE}:{name}")
    saved = {key: value.clone() for key, value in model.state_dict().items()}
    before = torch.get_rng_state(), random.getstate()
    warnings = check_own_model("it", model, LENGTH)
    assert len(warnings) == (warning is not None)
    if warning is not None:
        assert re.search(warning, warnings[0])
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()
    assert getattr(model.module, "rows", 0) == 0


def test_weights_that_cannot_be_saved_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SharedMemory cannot be run .*shared tensors"):
        train(tiny(model=f"{HERE}:SharedMemory", model_args={}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
