"""Models whose training steps change something that later steps need, saved or not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model
from synthetic_training.training.run import train
from tests.tiny_run import metrics_without_times, tiny

HERE = __name__


class Counting(nn.Module):
    """Counts its training passes in a number or a buffer; in some kinds, the logits grow with it."""

    def __init__(self, vocab_size: int, kind: str = "number", dropout: float = 0.0) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.kind, self.dropout, self.passes = kind, nn.Dropout(dropout), 0
        if "buffer" in kind:
            del self.passes
            self.register_buffer("passes", torch.zeros(()), persistent=kind == "saved buffer")

    def forward(self, ids: Tensor) -> Tensor:
        if self.training:
            self.passes += 1
        kept = self.kind.startswith("only counts") or (self.kind == "in training" and not self.training)
        factor = 1 if kept else 1 + self.passes / 50
        x = self.embed(ids)
        return self.head(self.dropout(x + x.cumsum(1).tanh().cumsum(1) / 8) * factor)


def checked(kind: str, **arguments: Any) -> list[str]:
    model = build_model(f"{HERE}:Counting", kind=kind, **arguments)
    found = check_own_model("it", model, 16)
    assert int(model.module.passes) == 0
    return found


@pytest.mark.parametrize("kind", ["number", "buffer that is not saved"])
def test_a_saved_model_with_other_logits_than_in_training_is_refused(kind: str) -> None:
    with pytest.raises(
        InputError, match="it has other logits after it is saved .* or that forward changes, as"
    ):
        checked(kind)


def test_a_number_that_matters_only_in_training_is_a_warning(tmp_path: Path, caplog: Any) -> None:
    (warning,) = checked("in training")
    assert "carries something from one training step to the next that is not saved" in warning
    config = tiny(model=f"{HERE}:Counting", model_args={"kind": "in training"}, steps=6)
    train(config, tmp_path / "run")
    assert caplog.text.count("so a resumed run differs; use register_buffer") == 1


@pytest.mark.parametrize("arguments", [{"kind": "saved buffer", "dropout": 0.5}, {"kind": "only counts"}])
def test_other_state_is_not_reported(arguments: dict[str, Any], tmp_path: Path) -> None:
    assert checked(**arguments) == []
    config = tiny(model=f"{HERE}:Counting", model_args=arguments, steps=6, eval_every=3)
    train(config, tmp_path / "run")
    assert len(metrics_without_times(tmp_path / "run")) > 3


class NormalisesSteps(nn.Module):
    """Normalises each token over the rows of the batch, as recurrent batch normalisation does."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(vocab_size, 8), nn.Linear(8, vocab_size)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids)
        steps = [self.norm(one) for one in (x + x.cumsum(1).tanh().cumsum(1)).unbind(1)]
        return self.head(torch.stack(steps, 1))


def test_a_module_that_needs_several_rows_in_training_is_accepted() -> None:
    assert check_own_model("it", build_model(f"{HERE}:NormalisesSteps"), 16) == []
