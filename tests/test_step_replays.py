"""Steps that a CUDA graph would replay wrongly, and the tensors that replays read."""

import gc
import logging
import random
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from synthetic_training.data.strings.packing import PackedBatches
from synthetic_training.models.registry import build_model
from synthetic_training.seeding import seed_everything
from synthetic_training.training.graphs import Replayed
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.test_step_fallback import OPTIMIZER, Counting, losses
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


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (
            Counting,
            "replaces the buffer 'module.rows' with another tensor; change it in place, as with copy_()",
        ),
        (DrawingWithPython, "draws random numbers with Python or NumPy; draw them with torch, on the device"),
        (DrawingWithNumpy, "draws random numbers with Python or NumPy; draw them with torch, on the device"),
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
