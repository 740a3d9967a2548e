"""What is checked of a user's own model before training, on small modules with the faults of real ones."""

import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from dataset_builders import InputError, inference_state
from synthetic_training.models import saving
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.modeling_lstm import LstmForCausalLM
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


class SlightlyAhead(ZeroAtFirst):
    """Sees the future only a third as well, which changes the first logits by 3%."""

    def mix(self, x: Tensor) -> Tensor:
        return super().mix(x) - 0.7 * self.out(x.mean(1, keepdim=True).expand_as(x))


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
        ("SlightlyAhead", "it is not causal"),
        ("NotInitialised", "the logits of it are not finite before training; does its constructor set all"),
        (
            "EvenLengths",
            "it must read rows of any number of tokens, but for 1 it raises .*; pad inside forward",
        ),
        ("NotSaved", "it has other logits after it is saved and loaded; register each tensor"),
    ],
)
@pytest.mark.parametrize("bf16", [False, True])
def test_a_model_without_meaningful_results_is_refused(name: str, sentence: str, bf16: bool) -> None:
    with pytest.raises(InputError, match=sentence):
        check_own_model("it", build_model(f"{HERE}:{name}"), LENGTH, bf16=bf16)


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


class Stabilised(Causal):
    """Linear attention whose keys are divided by a maximum over all tokens, which changes the rounding."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.keys, self.out = nn.Linear(8, 8), nn.Linear(8, 8)

    def mix(self, x: Tensor) -> Tensor:
        x = super().mix(x)
        for _ in range(4):
            keys = self.keys(x / x.norm(dim=-1, keepdim=True))
            keys = (keys - keys.amax((1, 2), keepdim=True)).clamp(-8).exp()
            weights = (keys @ keys.mT).tril()
            x = x + self.out(weights @ x / weights.sum(-1, keepdim=True))
        return x


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
        ("Stabilised", None),
    ],
)
@pytest.mark.parametrize("bf16", [False, True])
def test_behaviour_that_is_rarely_intended_is_a_warning(name: str, warning: str | None, bf16: bool) -> None:
    model = build_model(f"{HERE}:{name}")
    saved = {key: value.clone() for key, value in model.state_dict().items()}
    before = torch.get_rng_state(), random.getstate()
    warnings = check_own_model("it", model, LENGTH, bf16=bf16)
    assert len(warnings) == (warning is not None)
    if warning is not None:
        assert re.search(warning, warnings[0])
    assert all(torch.equal(value, saved[key]) for key, value in model.state_dict().items())
    assert torch.equal(before[0], torch.get_rng_state()) and before[1] == random.getstate()
    assert getattr(model.module, "rows", 0) == 0


def test_weights_that_cannot_be_saved_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="SharedMemory cannot be saved: again and head.weight share memory"):
        train(tiny(model=f"{HERE}:SharedMemory", model_args={}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SafetensorError("No space left")])
def test_a_full_disk_is_one_sentence(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """With several processes, an error of another type would leave the others waiting."""

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(saving, "save_with_code", fail)
    with pytest.raises(
        InputError, match="it cannot be saved in .*, a temporary folder: .*No space left.*TMPDIR"
    ):
        check_own_model("it", build_model(f"{HERE}:Causal"), LENGTH)


class OnlyBfloat16(Causal):
    """Calls a kernel that refuses float32, on the output of a linear layer."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.inner = nn.Linear(8, 8)

    def mix(self, x: Tensor) -> Tensor:
        keys = self.inner(super().mix(x))
        if keys.dtype != torch.bfloat16:
            raise TypeError(f"the kernel takes bfloat16, not {keys.dtype}")
        return keys


def test_a_model_is_checked_in_the_precision_of_training(tmp_path: Path) -> None:
    settings = {"model": f"{HERE}:OnlyBfloat16", "model_args": {}, "steps": 2, "eval_every": 2}
    with pytest.raises(InputError, match="cannot be run .*: the kernel takes bfloat16, not torch.float32"):
        train(tiny(**settings, warmup_steps=0, precision="fp32"), tmp_path / "run")
    train(tiny(**settings, warmup_steps=0, precision="bf16"), tmp_path / "run")
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()


class OnlyBfloat16Llama(LlamaForCausalLM):
    def forward(self, input_ids: Tensor, **others: Any) -> Any:
        output = super().forward(input_ids, **others)
        if output.logits.dtype != torch.bfloat16:
            raise TypeError(f"the kernel takes bfloat16, not {output.logits.dtype}")
        return output


def test_the_isolation_of_examples_is_checked_in_the_precision_of_training(tmp_path: Path) -> None:
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    settings = {"model": f"{HERE}:OnlyBfloat16Llama", "model_args": sizes, "isolate_examples": True}
    train(tiny(**settings, steps=2, eval_every=2, warmup_steps=0, precision="bf16"), tmp_path / "run")
    assert (tmp_path / "run" / "model" / "model.safetensors").exists()
    with pytest.raises(InputError, match="Recurrent cannot isolate the examples of a row from each other"):
        train(tiny(**{**settings, "model": f"{HERE}:Recurrent", "precision": "bf16"}), tmp_path / "other")


class Recurrent(OnlyBfloat16Llama):
    """Adds the mean of the embeddings so far to the logits."""

    def forward(self, input_ids: Tensor, **others: Any) -> Any:
        output = super().forward(input_ids, **others)
        count = torch.arange(1, input_ids.shape[1] + 1)[:, None]
        mean = self.model.embed_tokens(input_ids).cumsum(1) / count
        output.logits = output.logits + 20 * self.lm_head(mean)
        return output


class OldName(LstmForCausalLM):
    def forward(self, input_ids: Tensor, past_key_values: Any = None, **kwargs: Any) -> Any:
        return super().forward(input_ids, past_key_values=past_key_values, **kwargs)


@pytest.mark.parametrize(("model", "warned"), [(OldName, True), (LstmForCausalLM, False)])
def test_a_state_under_an_old_name_is_a_warning(model: Any, warned: bool, monkeypatch: Any) -> None:
    monkeypatch.setattr(inference_state, "_passes_cache", lambda: True)
    warnings = check_own_model("it", model(build_model("lstm", hidden_size=8).config), LENGTH, saves=False)
    assert ["takes its state as past_key_values" in warning for warning in warnings] == [True] * warned
