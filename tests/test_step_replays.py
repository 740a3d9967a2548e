"""Steps that a CUDA graph would replay wrongly, and the tensors that replays read."""

import gc
import logging
import random
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthetic_training.data.strings.packing import PackedBatches
from synthetic_training.figures.stages import read_stages
from synthetic_training.models.registry import build_model
from synthetic_training.seeding import seed_everything
from synthetic_training.training.graphs import Replayed
from synthetic_training.training.processes import Processes
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.test_step_fallback import OPTIMIZER, Counting, losses, make_step, refuse
from tests.tiny_run import tiny


class Recorded(Replayed):
    """Runs on a CPU; its replays do nothing, like those of a graph that reads a tensor of the past."""

    def __init__(self, function: Callable[[], None]) -> None:
        self._function, self._calls, self._graph = function, 0, None

    def __call__(self) -> None:
        if self._calls < self._EAGER_CALLS:
            self._calls += 1
        elif self._graph is None:
            self._graph = object()  # type: ignore[assignment]  # stands for a graph
        else:
            return
        self._function()


class DrawingWithPython(Counting):
    """Adds a number that Python's module ``random`` draws, and leaves its buffers alone."""

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids) + random.random()
        for layer in self.layers:
            x = layer(x)
        return x


class DrawingWithNumpy(Counting):
    def forward(self, ids: Tensor) -> Tensor:
        return self.layers[1](self.embedding(ids) + np.random.random())


class Remembering(Counting):
    """Adds to its inputs what it has kept of the inputs of the step before."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.memory: Any = torch.zeros(8)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        before, self.memory = self.memory, x.mean((0, 1)).detach()
        return self.layers[1](x + before)


class Memory(Remembering):
    """The same on a GPU."""

    def forward(self, ids: Tensor) -> Tensor:
        self.memory = self.memory.to(ids.device)
        return super().forward(ids)


class DetachingLater(Remembering):
    """Keeps a tensor that requires a gradient, and detaches it when it reads it."""

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        before, self.memory = self.memory.detach(), x.mean((0, 1))
        return self.layers[1](x + before)


class RememberingInAList(Remembering):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.memory = [torch.zeros(8), torch.zeros(8)]

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embedding(ids)
        before, self.memory[1] = self.memory[1], x.mean((0, 1)).detach()
        return self.layers[1](x + before)


class RememberingInADictionary(RememberingInAList):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.memory = {1: torch.zeros(8)}


class RememberingIds(Remembering):
    """Keeps integers, which are valid indices only."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.memory = torch.zeros(4, 32, dtype=torch.int64)

    def forward(self, ids: Tensor) -> Tensor:
        before, self.memory = self.memory, ids
        return self.layers[1](self.embedding(ids) + self.embedding(before))


class CountingSteps(Remembering):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.memory = 0

    def forward(self, ids: Tensor) -> Tensor:
        self.memory += 1
        return self.layers[1](self.embedding(ids)) * self.memory


class Growing(CountingSteps):
    """Counts steps by the length of a list."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.memory = []

    def forward(self, ids: Tensor) -> Tensor:
        self.memory.append(None)
        return self.layers[1](self.embedding(ids)) * len(self.memory)


class DrawingWithItsOwnGenerator(CountingSteps):
    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.memory = np.random.default_rng(0)

    def forward(self, ids: Tensor) -> Tensor:
        return self.layers[1](self.embedding(ids) + self.memory.random())


CARRIED = (
    "reads the tensor that the step before left in the attribute 'module.memory'; make it a buffer that "
)
CHANGED = "changes the attribute 'module.memory'; make it a buffer that is changed in place, as with add_()"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            Counting,
            "replaces the buffer 'module.rows' with another tensor; change it in place, as with copy_()",
        ),
        (DrawingWithPython, "draws random numbers with Python or NumPy; draw them with torch, on the device"),
        (DrawingWithNumpy, "draws random numbers with Python or NumPy; draw them with torch, on the device"),
        (Remembering, CARRIED),
        (Memory, CARRIED),
        (DetachingLater, CARRIED),
        (RememberingInAList, CARRIED),
        (RememberingInADictionary, CARRIED),
        (RememberingIds, CARRIED),
        (CountingSteps, CHANGED),
        (Growing, CHANGED),
        (DrawingWithItsOwnGenerator, CHANGED),
    ],
)
def test_a_step_that_replays_would_not_repeat_is_not_replayed(
    model: type[nn.Module], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    def run(*, recorded: bool) -> list[float]:
        seed_everything(0)
        built = build_model(f"{__name__}:{model.__name__}").train()
        batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
        step = TrainingStep(built, batches, StepConfig(), OPTIMIZER, rows=4)
        if recorded:
            step._run = step._replayed = Recorded(step._update)
        seed_everything(1)
        return losses(step)

    expected = run(recorded=False)
    with caplog.at_level(logging.WARNING):
        assert run(recorded=True) == expected
    (record,) = caplog.records
    assert f"is slower without: a forward pass {reason}" in record.getMessage()


class Masked(Counting):
    """Keeps a mask for the length of its last rows, and positions in a buffer."""

    positions: Tensor

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.kept: tuple[Tensor, ...] = ()
        self.register_buffer("positions", torch.zeros(0), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        if len(self.positions) != ids.shape[1]:
            self.kept = (torch.ones(ids.shape[1]),)
            self.positions = torch.ones(ids.shape[1])
        x = self.embedding(ids) * self.kept[0][:, None] * self.positions[:, None]
        return self.layers[1](self.layers[0](x))


def test_what_a_recorded_step_reads_outlives_an_evaluation_of_other_lengths() -> None:
    model = build_model(f"{__name__}:Masked").train()
    batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
    step = TrainingStep(model, batches, StepConfig(), OPTIMIZER, rows=4)
    step._run = step._replayed = Recorded(step._update)
    losses(step)
    read = [weakref.ref(model.module.kept[0]), weakref.ref(model.module.positions)]
    model(torch.zeros(1, 48, dtype=torch.int64))
    gc.collect()
    assert len(model.module.positions) == 48 and all(one() is not None for one in read)


class Disagreeing(Processes):
    """Processes of which another one has found what replays would not repeat."""

    def max(self, number: int) -> int:
        assert number == 0
        return 1


def test_no_process_replays_if_another_one_does_not() -> None:
    batches = PackedBatches(tiny().string_task, 32, 4, 0, "cpu")
    for processes, replays in ((Processes(), True), (Disagreeing(), False)):
        model = build_model("tests.test_replayed_steps:Partly").train()
        step = TrainingStep(model, batches, StepConfig(), OPTIMIZER, rows=4, processes=processes)
        step._run = step._replayed = Recorded(step._update)
        losses(step)
        assert (step._replayed is not None) == replays


def test_a_step_that_cannot_be_compiled_is_replayed_uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures rely on it for RWKV-7."""
    monkeypatch.setattr(torch, "compile", refuse)
    step = make_step(compiled=True)
    step._run = step._replayed = recorded = Recorded(step._update)
    losses(step)
    assert step._run is recorded and recorded._graph is not None
    for figure in ("length_generalization", "ngram_lookup", "mqar"):
        (*_, stage) = read_stages([f"beyond_{figure}"], "paper")
        assert {run.config.compile for run in stage.planned if run.label == "rwkv7"} == {"auto"}


@pytest.mark.parametrize("ends", [True, False])
def test_the_error_that_ended_a_recording_is_raised(ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    class Graph:
        def __init__(self, *_: Any, **__: Any) -> None: ...

        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            if not ends:
                raise RuntimeError("operation failed due to a previous error during capture")

    for name in ("CUDAGraph", "graph", "Stream"):
        monkeypatch.setattr(torch.cuda, name, Graph)
    monkeypatch.setattr("synthetic_training.training.graphs._renew_generator", lambda: None)

    kept: list[weakref.ref[Tensor]] = []

    def function() -> None:
        activations = torch.zeros(1)
        kept.append(weakref.ref(activations))
        try:
            raise KeyError("handled")
        except KeyError as error:
            raise ValueError("the model's own") from error

    replayed = Replayed(function)
    replayed._calls = Replayed._EAGER_CALLS
    with pytest.raises(ValueError, match="own") as found:
        replayed()
    assert isinstance(found.value.__cause__, KeyError)
    del found
    assert kept[0]() is None  # at once: the steps that go on without a recording need the memory
