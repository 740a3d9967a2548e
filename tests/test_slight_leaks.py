"""Models that depend slightly on later tokens: too little to be refused, but perhaps enough to learn from."""

import pytest
import torch
from torch import Tensor, nn

from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model
from tests.test_behaviour import Causal


class GatesOverTheRow(Causal):
    """Divides by the mean of gates over the whole row, which is nearly the same for all rows."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.gate = nn.Linear(8, 8)

    def mix(self, x: Tensor) -> Tensor:
        gates = 1 + 0.01 * torch.sigmoid(self.gate(x))
        return super().mix(x * gates / gates.mean(1, keepdim=True))


@pytest.mark.parametrize("leaks", [False, True])
def test_a_slight_leak_is_a_warning(leaks: bool) -> None:
    model = build_model(f"{__name__}:GatesOverTheRow" if leaks else "tests.test_behaviour:Causal")
    warnings = check_own_model("it", model, 48)
    sentence = "the logits of it depend slightly on later tokens, so it may learn to see the answer"
    assert warnings == [sentence] * leaks
