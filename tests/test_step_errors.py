"""Errors of a model's operations in training, as one sentence."""

import ast
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from dataset_builders.checks import first_line
from synthetic_training.data.strings.packing import PackedBatches
from synthetic_training.models.registry import build_model
from synthetic_training.training.optimizer import OptimizerConfig
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.tiny_run import SETTINGS, tiny

OPTIMIZER = OptimizerConfig(weight_decay=0.1, grad_clip=0.5)


@pytest.mark.parametrize("compiled", [False, True])
def test_a_model_that_mixes_the_types_of_autocast_is_refused_in_one_sentence(compiled: bool) -> None:
    """Autocast leaves embeddings in float32, and most operations refuse to combine them with bfloat16."""
    torch.manual_seed(0)
    model = build_model("T_hard_alibi", **SETTINGS["model_args"])
    width = model.config.hidden_size
    projection = nn.Linear(width, width)

    def add(_module: nn.Module, _arguments: Any, embedded: Tensor) -> Tensor:
        rows = torch.arange(len(embedded))
        return projection(embedded).index_add(0, rows, embedded)

    model.get_input_embeddings().register_forward_hook(add)
    batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
    fp32 = TrainingStep(model, batches, StepConfig("fp32", compiled), OPTIMIZER, rows=4)
    fp32.run(0, 1e-2)
    bf16 = TrainingStep(model, batches, StepConfig("bf16", compiled), OPTIMIZER, rows=4)
    with pytest.raises(InputError, match=r"in bf16 \(.*BFloat16.*\); pass --precision fp32"):
        bf16.run(0, 1e-2)


def test_the_message_of_tritons_compiler_is_its_reason() -> None:
    errors = pytest.importorskip("triton.compiler.errors")
    source = "x = tl.dot(one, other)"
    error = errors.CompilationError(source, ast.parse(source).body[0], "Both operands must be same dtype")
    assert str(error).startswith("at 1:0:") and first_line(error) == "Both operands must be same dtype"
