"""Gates of an xLSTM are computed in float32, in all the ways to get a model."""

from pathlib import Path

import pytest
import torch
from torch import nn

from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.models.sizes import preset_arguments
from synthetic_training.training.optimizer import ClippedAdamW, OptimizerConfig


@pytest.fixture(scope="module")
def model() -> nn.Module:
    torch.manual_seed(0)
    return build_model("hf:xlstm", **preset_arguments("small", "hf:xlstm", {"num_hidden_layers": 1}))


def gates(model: nn.Module) -> dict[str, nn.Linear]:
    found = {
        name: part for name, part in model.named_modules() if name.endswith(("igate_preact", "fgate_preact"))
    }
    assert len(found) == 2
    return found


@pytest.mark.parametrize("saved", [False, True])
def test_gates_ignore_autocast(saved: bool, model: nn.Module, tmp_path: Path) -> None:
    if saved:
        save_with_code(model, tmp_path)
        model = load_model(tmp_path)
    x = torch.randn(2, 5, 128)
    for gate in gates(model).values():
        expected = nn.functional.linear(x, gate.weight, gate.bias)
        with torch.autocast("cpu", torch.bfloat16):
            assert gate(x).equal(expected)
            assert gate(x.bfloat16()).dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert model.backbone.blocks[0].mlstm_layer.q(x).dtype == torch.bfloat16


def test_gates_work_in_float64(model: nn.Module) -> None:
    gate = nn.Linear(4, 2)
    gate.__class__ = type(next(iter(gates(model).values())))
    assert gate.double()(torch.randn(3, 4)).dtype == torch.float64


def test_the_optimizer_makes_no_bfloat16_copies_of_them(model: nn.Module) -> None:
    copies = ClippedAdamW(model, OptimizerConfig(0.1, 1.0), copies=True).copies
    assert any(".q." in name for name in copies)
    assert not any("gate_preact" in name and "ogate" not in name for name in copies)
