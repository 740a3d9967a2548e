"""Training goes on, with a warning, where a model cannot be compiled or its step cannot be recorded."""

import logging
from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.data.strings.packing import PackedBatches
from synthetic_training.models.registry import build_model
from synthetic_training.models.sizes import preset_arguments
from synthetic_training.training import optimizer as optimizer_module
from synthetic_training.training import step as step_module
from synthetic_training.training.graphs import Replayed
from synthetic_training.training.optimizer import ClippedAdamW, OptimizerConfig
from synthetic_training.training.processes import Processes
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.tiny_run import SETTINGS, tiny

OPTIMIZER = OptimizerConfig(weight_decay=0.1, grad_clip=0.5)


def make_step(*, compiled: bool) -> TrainingStep:
    torch.manual_seed(0)
    model = build_model("T_hard_alibi", **SETTINGS["model_args"])
    batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
    return TrainingStep(model, batches, StepConfig(compile=compiled), OPTIMIZER, rows=4)


def losses(step: TrainingStep, steps: int = 6) -> list[float]:
    found = []
    for number in range(steps):
        step.run(number, 1e-2)
        found.append(step.read().loss)
    return found


class Unrecordable(Replayed):
    """Runs on a CPU, and cannot record the function."""

    error = RuntimeError("operation not permitted when stream is capturing\nand more lines")

    def __init__(self, function: Callable[[], None]) -> None:
        self._function, self._calls, self._graph = function, 0, None

    def __call__(self) -> None:
        if self._calls == self._EAGER_CALLS:
            raise self.error
        self._function()
        self._calls += 1


def refuse(function: Callable[..., Any], **_: Any) -> Callable[..., Any]:
    def fail(*_arguments: Any, **_others: Any) -> Any:
        raise torch._dynamo.exc.TorchDynamoException("the backend failed\nat a place")

    return fail


def test_a_model_that_cannot_be_compiled_runs_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = losses(make_step(compiled=False))
    monkeypatch.setattr(torch, "compile", refuse)
    step = make_step(compiled=True)
    with caplog.at_level(logging.WARNING):
        assert losses(step) == expected
    assert [record.getMessage() for record in caplog.records] == [
        "the model cannot be compiled, and is slower without: the backend failed"
    ]


@pytest.mark.parametrize("refused", ["everything", "the update"])
def test_the_update_of_copies_runs_uncompiled_too(refused: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU on which nothing can be compiled, or only the model."""

    def run(*, compiled: bool) -> list[float]:
        torch.manual_seed(0)
        model = build_model("T_hard_alibi", **SETTINGS["model_args"])
        batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
        step = TrainingStep(model, batches, StepConfig("bf16", compile=compiled), OPTIMIZER, rows=4)
        step._optimizer = ClippedAdamW(model, OPTIMIZER, copies=True)
        return losses(step, 3)

    def refuse_some(function: Callable[..., Any], **others: Any) -> Callable[..., Any]:
        is_update = function.__module__ == optimizer_module.__name__
        return refuse(function, **others) if refused == "everything" or is_update else function

    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    expected = run(compiled=False)
    monkeypatch.setattr(torch, "compile", refuse_some)
    assert run(compiled=True) == expected


class Counting(nn.Module):
    """Has dropout, a buffer that is changed in place, and one that is replaced; both change the output."""

    seen: Tensor
    rows: Tensor

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, 8)
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("rows", torch.zeros(()))
        self.layers = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, vocab_size)])

    def forward(self, ids: Tensor) -> Tensor:
        self.seen += 1
        self.rows = self.rows + len(ids)
        x = nn.functional.dropout(self.embedding(ids), 0.5, self.training)
        for layer in self.layers:
            x = layer(x)
        return x + self.seen + x * self.rows


class Carrying(Counting):
    """Also counts steps in a number, a tensor, and a tensor in a list."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.steps, self.total, self.kept = 0, torch.zeros(()), [torch.zeros(())]

    def forward(self, ids: Tensor) -> Tensor:
        self.steps += 1
        self.total += 1
        self.kept[0] = self.kept[0] + 1
        return super().forward(ids) * (self.steps + 2 * self.total + 4 * self.kept[0])


@pytest.mark.parametrize("name", ["Counting", "Carrying"])
def test_a_failed_attempt_leaves_state_and_random_numbers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first layer and its dropout have run before the second layer cannot be compiled."""

    def run(*, compiled: bool) -> tuple[list[float], list[Tensor]]:
        torch.manual_seed(0)
        model = build_model(f"{__name__}:{name}").train()
        batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
        step = TrainingStep(model, batches, StepConfig(compile=compiled), OPTIMIZER, rows=4)
        torch.manual_seed(1)
        found = losses(step)
        return found, [*model.state_dict().values()]

    expected = run(compiled=False)
    refused = []

    def refuse_the_last(function: Callable[..., Any], **others: Any) -> Callable[..., Any]:
        layer = getattr(function, "__self__", None)
        if not isinstance(layer, nn.Linear) or layer.out_features == 8:
            return function
        refused.append(layer)
        return refuse(function, **others)

    monkeypatch.setattr(torch, "compile", refuse_the_last)
    found = run(compiled=True)
    assert len(refused) == 1 and found[0] == expected[0]
    assert all(torch.equal(one, other) for one, other in zip(found[1], expected[1], strict=True))


def test_a_step_that_cannot_be_recorded_runs_without(caplog: pytest.LogCaptureFixture) -> None:
    expected = losses(make_step(compiled=False))
    step = make_step(compiled=False)
    step._run = step._replayed = Unrecordable(step._update)
    with caplog.at_level(logging.WARNING):
        assert losses(step) == expected
    (record,) = caplog.records
    assert record.getMessage() == (
        "the training step cannot be recorded as a CUDA graph, and is slower without: "
        "operation not permitted when stream is capturing"
    )


def test_an_error_of_the_model_is_raised_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def wrong(*_: Any) -> Any:
        raise ZeroDivisionError("the model's own")

    monkeypatch.setattr(step_module, "summed_loss", wrong)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    with pytest.raises(ZeroDivisionError, match="own"):
        make_step(compiled=True).run(0, 1e-2)
    monkeypatch.setattr(torch, "compile", refuse)
    with pytest.raises(ZeroDivisionError, match="own"):
        make_step(compiled=True).run(0, 1e-2)
    assert not caplog.records


def test_several_processes_do_not_fall_back_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", refuse)
    step = make_step(compiled=True)
    step._processes = Processes(count=2, rank=0)
    with pytest.raises(InputError, match="cannot be compiled: the backend failed; pass --compile off$"):
        step.run(0, 1e-2)
    step = make_step(compiled=True)
    step._processes = Processes(count=2, rank=0)
    lost = "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:47013"
    monkeypatch.setattr(step, "_run", mock.Mock(side_effect=RuntimeError(lost)))
    with pytest.raises(RuntimeError, match="closed by peer"):
        step.run(0, 1e-2)


def test_only_the_recording_may_need_too_much_memory(caplog: pytest.LogCaptureFixture) -> None:
    class Large(Unrecordable):
        error = torch.OutOfMemoryError("CUDA out of memory")

    step = make_step(compiled=False)
    step._run = step._replayed = Large(step._update)
    assert losses(step) == losses(make_step(compiled=False))
    (record,) = caplog.records
    assert record.getMessage().endswith("and is slower without: CUDA out of memory")
    Large._EAGER_CALLS = 0
    step._run, step._replayed = Large(step._update), None
    with pytest.raises(torch.OutOfMemoryError):
        step.run(0, 1e-2)


@pytest.mark.gpu
def test_minimax_trains_although_its_step_cannot_be_recorded(caplog: pytest.LogCaptureFixture) -> None:
    """Its attention reads numbers of the CPU, which a CUDA graph cannot."""
    torch.manual_seed(0)
    model = build_model("hf:minimax", **preset_arguments("small", "hf:minimax", {})).cuda()
    batches = PackedBatches(tiny().string_task, 32, 4, 0, "cuda")
    step = TrainingStep(model, batches, StepConfig("bf16", compile=True), OPTIMIZER, rows=4)
    with caplog.at_level(logging.WARNING):
        found = losses(step)
    assert all(one == one for one in found) and found[-1] < found[0]
    assert any("cannot be" in record.getMessage() for record in caplog.records)


class Reading(Counting):
    """Reads a number of the device, which a CUDA graph cannot, after its dropout."""

    def forward(self, ids: Tensor) -> Tensor:
        logits = super().forward(ids)
        return logits * (1 if logits.sum().item() else 2)


@pytest.mark.gpu
def test_dropout_goes_on_after_a_failed_recording(caplog: pytest.LogCaptureFixture) -> None:
    def run(*, recorded: bool) -> list[float]:
        torch.manual_seed(0)
        model = build_model(f"{__name__}:Reading").cuda().train()
        batches = PackedBatches(tiny().string_task, 32, 4, 0, "cuda")
        step = TrainingStep(model, batches, StepConfig(), OPTIMIZER, rows=4)
        if recorded:
            step._run = step._replayed = Replayed(step._update)
        torch.manual_seed(1)
        return losses(step)

    expected = run(recorded=False)
    with caplog.at_level(logging.WARNING):
        assert run(recorded=True) == expected
    (record,) = caplog.records
    assert record.getMessage() == (
        "the training step cannot be recorded as a CUDA graph, and is slower without: "
        "CUDA error: operation not permitted when stream is capturing"
    )
    torch.rand(1, device="cuda")  # as in whatever the process does next


class Router(nn.Module):
    """Calculates a gate in float32, outside of autocast, as mixtures of experts do."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.embedding, self.gate = nn.Embedding(vocab_size, 8), nn.Linear(8, 8)
        self.head = nn.Linear(8, vocab_size)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        with torch.autocast(x.device.type, enabled=False):
            gates = self.gate(x.float()).softmax(-1)
        return self.head(x * gates)


def test_a_model_that_reads_weights_in_float32_has_no_copies(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)

    def run(*, copies: bool) -> list[float]:
        torch.manual_seed(0)
        model = build_model(f"{__name__}:Router").train()
        batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
        step = TrainingStep(model, batches, StepConfig("bf16", compile=copies), OPTIMIZER, rows=4)
        if copies:
            step._optimizer = ClippedAdamW(model, OPTIMIZER, copies=True)
        return losses(step)

    expected = run(copies=False)
    assert run(copies=True) == expected
    (record,) = caplog.records
    assert "the model cannot read copies of its weights in bfloat16" in record.getMessage()
