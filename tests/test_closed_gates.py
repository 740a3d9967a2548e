"""Whether logits depend on earlier tokens, in modules whose gates are closed before training."""

import pytest
import torch
from torch import Tensor, nn

from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model

HERE = __name__


class Gated(nn.Module):
    """Adds what it knows of earlier tokens times a gate, which is a buffer and zero at first."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.register_buffer("gate", torch.zeros(()))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        return self.head(x + self.gate * self.mix(x))

    def mix(self, x: Tensor) -> Tensor:
        return x.cumsum(1).tanh().cumsum(1)


class FrozenGate(Gated):
    """Its gate is a weight that is not trained at first."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        del self.gate
        self.gate = nn.Parameter(torch.zeros(()), requires_grad=False)


class Opened(Gated):
    """Training passes open the gate."""

    def forward(self, ids: Tensor) -> Tensor:
        if self.training:
            self.gate += 0.1
        return super().forward(ids)


class Ignores(Gated):
    """Never uses earlier tokens."""

    def mix(self, x: Tensor) -> Tensor:
        return x


class Meaningless(Ignores):
    """Its gate is used as an index, for which noise makes no sense."""

    def mix(self, x: Tensor) -> Tensor:
        if self.gate != 0:
            raise IndexError("no such gate")
        return x


UNLESS = "with its current buffers and frozen weights; unless these change, it cannot learn to copy"


@pytest.mark.parametrize(
    ("name", "warnings"),
    [
        ("Gated", [f"earlier tokens {UNLESS}"]),
        ("FrozenGate", [f"earlier tokens {UNLESS}"]),
        ("Opened", []),
        ("Ignores", ["earlier tokens, so it cannot learn to copy"]),
        ("Meaningless", ["earlier tokens, so it cannot learn to copy"]),
    ],
)
def test_a_closed_gate_is_told_from_what_can_never_matter(name: str, warnings: list[str]) -> None:
    found = check_own_model("it", build_model(f"{HERE}:{name}"), 16)
    assert found == [f"the logits of it do not depend on {one}" for one in warnings]
