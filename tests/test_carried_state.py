"""What a recorded step may leave in attributes of the model, and what the CPU does for a model on a GPU."""

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutput

from synthetic_training.data.strings.packing import PackedBatches
from synthetic_training.models.presets import presets
from synthetic_training.models.registry import build_model
from synthetic_training.models.sizes import preset_arguments
from synthetic_training.seeding import seed_everything
from synthetic_training.training.graphs import Replayed
from synthetic_training.training.step import StepConfig, TrainingStep
from synthetic_training.training.step_state import StateBefore
from tests.test_step_fallback import OPTIMIZER, Counting, losses
from tests.test_step_replays import CHANGED, Memory, Recorded, Remembering
from tests.tiny_run import tiny


class Harmless(Counting):
    """Sets attributes that no later step reads: numbers, an auxiliary loss, and lists of attention maps."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.shared: list[Tensor] = []
        for layer in self.layers:
            layer.results = self.shared
        self.maps: dict[str, Tensor] = {"constant": torch.ones(8)}
        self.auxiliary_loss = self.scale = None
        self.expanded, self.sparse = torch.ones(1).expand(8), torch.eye(8).to_sparse()

    def forward(self, ids: Tensor) -> Tensor:
        self.seen += 1
        self.length, self.ids, self.scale = ids.shape[1], ids, 0.5
        self.shared.clear()
        x = self.embedding(ids) * self.maps["constant"] * self.expanded
        x = x + self.sparse.to_dense().sum()
        for layer in self.layers:
            x = layer(x)
            layer.results.append(x)
        self.maps["weights"] = x.softmax(-1).detach()
        self.auxiliary_loss = self.shared[0].square().mean() + 0.0 * self.maps["weights"].mean()
        return x + self.seen


def test_attributes_that_no_later_step_reads_are_replayed(caplog: pytest.LogCaptureFixture) -> None:
    """The check runs another forward pass, which leaves no traces."""

    def run(*, recorded: bool) -> tuple[list[float], dict[str, Tensor]]:
        seed_everything(0)
        model = build_model(f"{__name__}:Harmless").train()
        step = TrainingStep(
            model, PackedBatches(tiny().string_task, 32, 4, 0, "cpu"), StepConfig(), OPTIMIZER, rows=4
        )
        if recorded:
            step._run = step._replayed = Recorded(step._update)
        found = losses(step, 4)
        assert model.module.layers[0].results is model.module.shared and len(model.module.shared) == 2
        assert not recorded or step._replayed is not None
        return found, {**model.state_dict(), "weights": model.module.maps["weights"]}

    expected = run(recorded=False)
    found = run(recorded=True)
    assert found[0] == expected[0] and not caplog.records
    assert all(torch.equal(value, expected[1][name]) for name, value in found[1].items())


@pytest.mark.parametrize("name", [name for name in presets()["small"] if not name.startswith("fla:")])
def test_the_steps_of_known_models_are_replayed(name: str) -> None:
    model = build_model(name, **preset_arguments("small", name, {})).train()
    step = TrainingStep(
        model, PackedBatches(tiny().string_task, 32, 4, 0, "cpu"), StepConfig(), OPTIMIZER, rows=4
    )
    step._run = step._replayed = Recorded(step._update)
    losses(step, 4)
    assert step._replayed is not None


class OnTheCpu(Remembering):
    """Calculates with the CPU; ``memory`` is a generator or a tensor."""

    def forward(self, ids: Tensor) -> Tensor:
        if isinstance(self.memory, Tensor):
            self.memory += 1
        else:
            torch.rand(2, generator=self.memory)
        return self.layers[1](self.embedding(ids))


OPT = {"dropout": 0.0, "word_embed_proj_dim": 16, "ffn_dim": 16, "num_attention_heads": 2}
DRAWS = "draws random numbers on the CPU; draw them on the device of the model"


@pytest.mark.parametrize(
    ("name", "arguments", "memory", "reason"),
    [
        (f"{__name__}:OnTheCpu", {}, None, DRAWS),
        (f"{__name__}:OnTheCpu", {}, torch.Generator(), CHANGED),
        (f"{__name__}:OnTheCpu", {}, torch.zeros(()), CHANGED),
        ("hf:opt", {**OPT, "layerdrop": 0.5}, None, DRAWS),
        ("hf:opt", {**OPT, "layerdrop": 0.0}, None, None),
    ],
)
def test_what_the_cpu_does_for_a_model_on_a_gpu_is_not_replayed(
    name: str, arguments: dict[str, Any], memory: Any, reason: str | None
) -> None:
    if name != "hf:opt":
        model = build_model(name)
        model.module.memory = memory
    else:
        model = build_model(name, hidden_size=16, num_hidden_layers=2, **arguments)
    before = StateBefore(model.train(), torch.device("meta"))  # stands for a GPU
    ids = torch.zeros(1, 4, dtype=torch.int64)
    model(ids)
    assert before.frozen_by_replays(lambda: model(ids)) == reason


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("name", "replayed"), [("hf:recurrent_gemma", True), (f"{Memory.__module__}:Memory", False)]
)
def test_a_recorded_step_has_the_losses_of_an_eager_one(name: str, replayed: bool) -> None:
    """RecurrentGemma keeps its state in attributes, which it resets before it reads them."""

    def run(*, recorded: bool) -> list[float]:
        seed_everything(0)
        model = build_model(name, **presets()["small"].get(name, {})).cuda().train()
        batches = PackedBatches(tiny().string_task, 32, 4, 0, "cuda")
        step = TrainingStep(model, batches, StepConfig(), OPTIMIZER, rows=4)
        if recorded:
            step._run = step._replayed = Replayed(step._update)
        found = losses(step)
        assert not recorded or (step._replayed is not None) == replayed
        return found

    assert run(recorded=True) == pytest.approx(run(recorded=False), rel=1e-3)


class Odd(Counting):
    """Has attributes that are not plain containers, and needs gradients."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__(vocab_size)
        self.system, self.lazy = random.SystemRandom(), nn.LazyBatchNorm1d()
        self.cycle: dict[str, Any] = {}
        self.cycle["self"] = self.cycle
        self.output = BaseModelOutput()
        self.hidden: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor:
        self.hidden = self.embedding(ids)
        self.output = BaseModelOutput(last_hidden_state=self.hidden)
        if self.training:
            self.hidden.retain_grad()
        return self.layers[0](self.hidden)


def test_odd_attributes_are_no_error_and_no_reason_not_to_replay(caplog: pytest.LogCaptureFixture) -> None:
    model = Odd(30).train()
    ids = torch.zeros(2, 5, dtype=torch.long)
    model(ids)
    before = StateBefore(model, torch.device("cpu"))
    model(ids)
    assert before.frozen_by_replays(lambda: model(ids)) is None
    before.restore()


def test_a_generator_of_numpys_old_kind_is_not_replayed() -> None:
    model = Counting(30)
    model.draws = np.random.RandomState(0)
    before = StateBefore(model, torch.device("cpu"))
    model.draws.rand()
    assert "'draws'" in str(before.frozen_by_replays(lambda: None))
