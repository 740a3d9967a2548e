"""Steps do not wait for the device, or they could not be recorded as a CUDA graph. Checked on a CPU too."""

import logging
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import transformers.utils.import_utils
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dataset_builders.mqar import Mqar
from synthetic_training.data.mqar.batches import MqarBatches
from synthetic_training.data.strings.packing import PackedBatches
from synthetic_training.models.paper_models import MODELS
from synthetic_training.models.registry import build_model
from synthetic_training.training import optimizer as optimizer_module
from synthetic_training.training.optimizer import ClippedAdamW, OptimizerConfig
from synthetic_training.training.precision import Precision
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.tiny_run import tiny

OPTIMIZER = OptimizerConfig(weight_decay=0.1, grad_clip=0.5)

WAITING = {"_local_scalar_dense", "equal", "masked_select", "nonzero", "_unique2", "unique_dim"}
"""Operations whose result, or its shape, has to be read on the CPU."""


class NoWaiting(TorchDispatchMode):
    """Raises an error for operations that wait for the device, if the tensors are on one."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operation.overloadpacket.__name__ in WAITING:
            raise RuntimeError(f"{operation} waits for the device")
        return operation(*args, **(kwargs or {}))


def arguments_of(name: str) -> dict[str, int]:
    arguments = {"hidden_size": 32, "num_hidden_layers": 2}
    if name.startswith("T_"):
        arguments["num_attention_heads"] = 2
    if name == "T_hard_alibi":
        arguments["num_masked_heads"] = 1
    return arguments


def make_step(monkeypatch: pytest.MonkeyPatch, name: str, *, copies: bool, parts: int = 1) -> TrainingStep:
    """A step as on a GPU, but uncompiled."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    model = build_model(name, **arguments_of(name))
    batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
    step = TrainingStep(model, batches, StepConfig("bf16", accumulation_steps=parts), OPTIMIZER, rows=4)
    if copies:
        step._optimizer = ClippedAdamW(model, OPTIMIZER, copies=True)
        assert step._optimizer.copies
    return step


@pytest.mark.parametrize(("copies", "parts"), [(False, 1), (False, 2), (True, 1)])
@pytest.mark.parametrize("name", MODELS)
def test_no_step_waits(name: str, copies: bool, parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    step = make_step(monkeypatch, name, copies=copies, parts=parts)
    with NoWaiting():
        step.run(0, 1e-2)


def test_reading_a_number_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    update = optimizer_module._update

    def reading(tensors: list[Tensor], divisor: Tensor, *others: Tensor) -> None:
        update(tensors, torch.tensor(float(divisor)), *others)

    monkeypatch.setattr(optimizer_module, "_update", reading)
    step = make_step(monkeypatch, "T_rope", copies=True)
    with NoWaiting(), pytest.raises(RuntimeError, match="_local_scalar_dense"):
        step.run(0, 1e-2)


class OnMeta(TorchDispatchMode):
    """Raises an error for operations on tensors that are not on the meta device."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, result)):
            if isinstance(tensor, Tensor) and tensor.device.type != "meta":
                raise RuntimeError(f"{operation} has a tensor on the CPU")
        return result


class NoAdamW:
    """PyTorch's AdamW does not run on the meta device."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: dict[Tensor, Any] = {}

    def step(self) -> None:
        pass


def meta_step(
    monkeypatch: pytest.MonkeyPatch, name: str, task: str, *, copies: bool = False, **settings: Any
) -> TrainingStep:
    """A step on the meta device: its tensors have no content, so that reading any raises an error."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it has no meta device either
    monkeypatch.setattr(torch.optim, "AdamW", NoAdamW)
    monkeypatch.setattr(transformers.utils.import_utils, "is_cuda_stream_capturing", lambda: True)
    model = build_model(name, **arguments_of(name)).train().to("meta")
    batches: Any = PackedBatches(tiny().string_task, 32, 4, 0, "meta")
    if task == "mqar":
        batches = MqarBatches(Mqar(vocabulary=30, pairs=4, length=24), 4, 0, "meta")
    step = TrainingStep(model, batches, StepConfig(**settings), OPTIMIZER, rows=4)
    if copies:
        step._optimizer = ClippedAdamW(model, OPTIMIZER, copies=True)
    return step


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("copy", {"copies": True}),
        ("copy", {"accumulation_steps": 2, "isolate_examples": True}),
        ("mqar", {}),
    ],
)
@pytest.mark.parametrize("name", MODELS)
def test_everything_of_a_step_is_on_the_device(
    name: str, task: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    step = meta_step(monkeypatch, name, task, **settings)
    with OnMeta():
        step._update()


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["bf16", "fp32"])
@pytest.mark.parametrize("name", MODELS)
def test_steps_are_recorded(name: str, precision: Precision, caplog: pytest.LogCaptureFixture) -> None:
    model = build_model(name, **arguments_of(name)).cuda()
    batches = PackedBatches(tiny().string_task, 32, 4, 0, "cuda")
    step = TrainingStep(model, batches, StepConfig(precision, compile=True), OPTIMIZER, rows=4)
    with caplog.at_level(logging.WARNING):
        for number in range(6):
            step.run(number, 1e-2)
    assert not caplog.records
    assert step._replayed is not None
    assert step._replayed._graph is not None
