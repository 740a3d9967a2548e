"""What a training step computes, compared with plain PyTorch, with parts of a batch and with bfloat16."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from packaging.version import Version
from safetensors.torch import load_file
from torch import Tensor

from dataset_builders import InputError
from synthetic_training.data.strings import PackedBatches
from synthetic_training.models.registry import build_model
from synthetic_training.training.optimizer import OptimizerConfig
from synthetic_training.training.precision import Precision
from synthetic_training.training.run import train
from synthetic_training.training.run_log import read_metrics
from synthetic_training.training.step import StepConfig, TrainingStep
from tests.gated_linear_attention import GatedLinearAttention
from tests.tiny_run import SETTINGS, tiny

OPTIMIZER = OptimizerConfig(weight_decay=0.1, grad_clip=0.5)


def model_and_batches(rows: int = 4) -> tuple[Any, PackedBatches]:
    torch.manual_seed(0)
    model = build_model("T_hard_alibi", **SETTINGS["model_args"])
    return model, PackedBatches(tiny().string_task, 32, rows, 0, "cpu")


def steps(step: TrainingStep, count: int = 4) -> None:
    for i in range(count):
        step.run(i, 1e-2)


def test_a_run_is_that_of_plain_pytorch(tmp_path: Path) -> None:
    """Two reports of four steps each: the rate rises for two steps, then falls to 0 after the last."""
    changes = {"steps": 8, "warmup_steps": 2, "lr": 1e-2, "weight_decay": 1.0, "grad_clip": 0.5}
    out = train(tiny(**changes, log_every=4, eval_every=8, save_every=8), tmp_path / "run")
    plain, batches = model_and_batches()
    adamw = torch.optim.AdamW(plain.parameters(), weight_decay=1.0)
    expected: list[dict[str, float]] = []
    # loss, right tokens and trained tokens since the last report
    sums, examples = torch.zeros(3, dtype=torch.float64), 0
    for i, part in enumerate([1 / 2, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]):
        packed = batches.batch(i)
        logits = plain(packed.input_ids).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), packed.targets.flatten())
        adamw.zero_grad()
        loss.backward()
        norm = float(torch.nn.utils.clip_grad_norm_(plain.parameters(), 0.5))
        adamw.param_groups[0]["lr"] = part * 1e-2
        adamw.step()
        trained = int((packed.targets >= 0).sum())
        right = int((logits.argmax(-1) == packed.targets).sum())
        sums += torch.tensor([loss.item() * trained, right, trained])
        examples += int(packed.examples)
        if i % 4 == 3:
            means = dict(zip(("loss", "letter_accuracy"), (sums[:2] / sums[2]).tolist(), strict=True))
            counts = {"step": i + 1, "examples": examples, "tokens": (i + 1) * 4 * 32}
            expected.append({**counts, **means, "grad_norm": norm, "learning_rate": part * 1e-2})
            sums.zero_()
    reports = [line for line in read_metrics(tmp_path / "run" / "metrics.jsonl") if line["kind"] == "train"]
    assert [{key: line[key] for key in expected[0]} for line in reports] == [
        pytest.approx(one, rel=1e-4) for one in expected
    ]
    first, second = reports
    seconds = second["seconds"] - first["seconds"]
    assert second["tokens_per_second"] == pytest.approx(4 * 4 * 32 / seconds, rel=0.3)
    # AdamW divides by the root of squared gradients, which magnifies rounding where they are tiny
    saved = load_file(out / "model.safetensors")
    for name, weight in plain.named_parameters():
        torch.testing.assert_close(saved[name], weight, rtol=1e-3, atol=1e-4, check_device=False)


class Balanced(GatedLinearAttention):
    """Wants small embeddings."""

    def forward(self, ids: Tensor) -> Tensor:
        self.auxiliary_loss = 0.1 * self.embed(ids).square().mean()
        return super().forward(ids)


EXPERTS = {"num_hidden_layers": 1, "num_local_experts": 2, "output_router_logits": True}
MIXTRAL = {**EXPERTS, "num_attention_heads": 2}
JETMOE = {
    **EXPERTS,
    "intermediate_size": 16,
    "num_key_value_heads": 2,
    "kv_channels": 8,
    "num_experts_per_tok": 1,
}


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize(
    ("name", "arguments", "weight"),
    [
        (f"{__name__}:Balanced", {}, 1),
        ("hf:mixtral", {**MIXTRAL, "router_aux_loss_coef": 3.0}, 3),
        pytest.param(
            "hf:jetmoe",
            {**JETMOE, "aux_loss_coef": 3.0},
            3,
            marks=pytest.mark.skipif(
                Version(transformers.__version__) < Version("5.23"),
                reason="the model's output has no auxiliary loss in transformers 5.17",
            ),
        ),
    ],
)
def test_an_auxiliary_loss_is_added(name: str, arguments: dict[str, Any], weight: float, parts: int) -> None:
    torch.manual_seed(0)
    model = build_model(name, hidden_size=16, **arguments)
    _, batches = model_and_batches()
    step = TrainingStep(model, batches, StepConfig(accumulation_steps=parts), OPTIMIZER, rows=4)
    step.run(0, 0.0)
    total, entropy, tokens = 0.0, 0.0, 0
    packed = batches.batch(0)
    model.zero_grad()
    for ids, targets in zip(packed.input_ids.chunk(parts), packed.targets.chunk(parts), strict=True):
        output, trained = model(ids), int((targets >= 0).sum())
        loss = torch.nn.functional.cross_entropy(output.logits.flatten(0, 1), targets.flatten())
        total += trained * (loss + weight * output.aux_loss)
        entropy, tokens = entropy + trained * loss.item(), tokens + trained
    (total / tokens).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), torch.inf)
    metrics = step.read()
    assert metrics.grad_norm == pytest.approx(float(norm), rel=1e-4)
    assert metrics.loss == pytest.approx(entropy / tokens, rel=1e-5)


class PerRow(GatedLinearAttention):
    def forward(self, ids: Tensor) -> Tensor:
        self.auxiliary_loss = self.embed(ids).square().mean((1, 2))
        return super().forward(ids)


def test_an_auxiliary_loss_is_a_scalar() -> None:
    _, batches = model_and_batches()
    step = TrainingStep(build_model(f"{__name__}:PerRow"), batches, StepConfig(), OPTIMIZER, rows=4)
    with pytest.raises(InputError, match=r"auxiliary loss must be a scalar, not a tensor of shape \(4,\)"):
        step.run(0, 0.0)


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulation_changes_nothing_but_rounding(parts: int) -> None:
    results = []
    for accumulate in (1, parts):
        model, batches = model_and_batches()
        step = TrainingStep(model, batches, StepConfig(accumulation_steps=accumulate), OPTIMIZER, rows=4)
        steps(step)
        results.append((step.read(), model.state_dict()))
    (whole, one), (split, other) = results
    assert split.loss == pytest.approx(whole.loss, rel=1e-5)
    assert (split.examples, split.letter_accuracy) == (whole.examples, pytest.approx(whole.letter_accuracy))
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_bf16_is_near_fp32() -> None:
    losses = {}
    precisions: tuple[Precision, ...] = ("bf16", "fp32")
    for precision in precisions:
        model, batches = model_and_batches()
        step = TrainingStep(model, batches, StepConfig(precision), OPTIMIZER, rows=4)
        steps(step)
        assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
        losses[precision] = step.read().loss
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


def test_a_gradient_that_is_not_finite_is_remembered() -> None:
    model, batches = model_and_batches()
    step = TrainingStep(model, batches, StepConfig(), OPTIMIZER, rows=4)
    steps(step, 1)
    assert step.read().finite
    hook = next(model.parameters()).register_hook(lambda gradient: gradient * torch.inf)
    step.run(1, 1e-2)
    hook.remove()
    step.run(2, 1e-2)
    metrics = step.read()
    assert not metrics.finite and 0 < metrics.loss < 10
