"""A model that is too large for any machine is refused in one sentence, before memory is allocated."""

import resource
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from dataset_builders import InputError
from synthetic_training.models import size_limit
from synthetic_training.models.registry import build_model
from synthetic_training.models.size_limit import check_size
from synthetic_training.training.run import train
from tests.tiny_run import tiny

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


class Table(nn.Module):
    """A user's class that creates tensors in several ways."""

    def __init__(self, vocab_size, width=4, depth=1, mask=1, wide=1, numbers=False):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, width)
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.register_buffer("start", torch.zeros(width))
        self.mask = torch.ones(mask, mask)
        self.wide = torch.empty(wide, 3)
        self.scales = torch.linspace(0, 1, 4).tolist() if numbers else []

    def forward(self, ids):
        return self.embed(ids) @ self.embed.weight.T


TABLE = f"{__name__}:Table"
MEMORY = r"needs at least [\d,]+ GiB of memory, but the cpu has \d+ GiB; reduce the sizes in --model-args"


@pytest.mark.parametrize(
    ("name", "arguments", "sentence"),
    [
        ("mamba", {"hidden_size": 10**9}, MEMORY),
        ("lstm", {"hidden_size": 10**9}, MEMORY),
        ("hf:gpt2", {"n_embd": 10**9, "n_head": 1}, MEMORY),
        ("hf:gpt2", {**SMALL, "n_positions": 10**12}, MEMORY),
        ("hf:mixtral", {**SMALL, "num_local_experts": 10**9}, MEMORY),
        ("hf:gpt2", {"n_layer": 10**7}, "num_hidden_layers of hf:gpt2 must be at most 10000, not 10000000"),
        ("hf:llama", {"hidden_size": 10**30}, "hidden_size of hf:llama must be at most 2147483647"),
        ("hf:gpt2", {**SMALL, "n_inner": 10**30}, "hf:gpt2 has a tensor that is too large"),
        (TABLE, {"width": 10**9}, MEMORY),
        (TABLE, {"width": 10**9, "numbers": True}, MEMORY),
        (TABLE, {"mask": 10**7}, f"a tensor of {TABLE} {MEMORY}"),
        (TABLE, {"wide": 2**62}, "has a tensor that is too large"),
        (TABLE, {"wide": 10**30}, "has a tensor that is too large"),
    ],
)
def test_an_absurd_model_is_refused(name: str, arguments: dict[str, Any], sentence: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=sentence) as refused:
        build_model(name, **arguments)
    assert "\n" not in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # KiB


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"batch_size": 2**31, "accumulation_steps": 2**31},
            "a batch of 2147483648 rows of 32 tokens",
        ),
        (
            {"batch_size": 10**7, "context_length": 10**4},
            "a pass over 10000000 rows of 10000 tokens",
        ),
    ],
)
def test_an_absurd_batch_is_refused(settings: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence):
        train(tiny(**settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_endless_layers_are_refused_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limit, "MAX_PARTS", 1000)
    start = time.perf_counter()
    with pytest.raises(InputError, match="Table has more than 1,000 layers and tensors; reduce the number"):
        build_model(TABLE, depth=10**7)
    assert time.perf_counter() - start < 20


def test_the_sum_of_layers_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(size_limit, "total_memory", lambda _: 10 * 2**20)
    monkeypatch.setattr("synthetic_training.memory.total_memory", lambda _: 10 * 2**20)
    build_model(TABLE, width=512, depth=8)
    with pytest.raises(
        InputError,
        match=r":Table needs more than 0.0098 GiB of memory, but the cpu has",
    ):
        build_model(TABLE, width=512, depth=10)


def test_counting_leaves_no_trace() -> None:
    """No hook and no used random number, whether or not the model can be built on the meta device."""
    torch.manual_seed(0)
    expected = nn.Embedding(30, 4).weight
    for numbers in (False, True):
        torch.manual_seed(0)
        model = build_model(TABLE, numbers=numbers)
        assert torch.equal(model.module.embed.weight, expected)
    assert not nn.modules.module._global_parameter_registration_hooks
    assert not nn.modules.module._global_buffer_registration_hooks
    assert not nn.modules.module._global_module_registration_hooks


def test_a_fault_of_the_class_itself_keeps_its_traceback() -> None:
    def faulty() -> nn.Module:
        raise KeyError("bug")

    with pytest.raises(KeyError, match="bug"):
        check_size("mine", faulty)
