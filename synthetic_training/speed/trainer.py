"""Training speed of this trainer and of a stand-in for the paper's trainer, measured in one run.

    python -m synthetic_training.speed.trainer --out speed.json

Models have the sizes of the paper's trainer (width 1024, 12 layers, rows of 220 tokens). For each model of
this trainer, the report contains:

- ``floor_ms``: a lower bound of the time per step. It is the larger of the time for arithmetic, at the rate
  of a large bfloat16 matrix product, and the time for reading weights and writing gradients, at the rate of a
  large copy; plus the time for the optimizer's memory traffic, which cannot overlap. Both rates are measured;
- ``mfu``: model FLOPs utilisation: the model's operations (6 per parameter and token, plus those of
  attention), divided by the time per step and the measured rate of the matrix product;
- ``kernels_ms``: time per kind of kernel in a profiled step; ``idle`` is the time in which no kernel runs.
"""

import gc
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json
from dataset_builders.markdown import markdown_table
from dataset_builders.string_tasks import Copy
from synthetic_training.data.strings import PackedBatches
from synthetic_training.models.paper_models import MODELS
from synthetic_training.models.registry import build_model
from synthetic_training.provenance import provenance
from synthetic_training.speed.paper_trainer import LAYERS, STATE, PaperTrainer
from synthetic_training.training.optimizer import OptimizerConfig
from synthetic_training.training.step import StepConfig, TrainingStep

_OVERRIDES: dict[str, dict[str, Any]] = {
    "mamba": {"num_hidden_layers": LAYERS, "state_size": STATE},
    "lstm": {"num_hidden_layers": LAYERS},
}
_KINDS = (
    ("recurrence", ("selective_scan", "gate_backward", "rnn", "lstm", "elemwise")),
    ("attention", ("flash", "fmha", "attention", "sdpa", "window_")),
    ("recurrence", ("forward_kernel", "backward_kernel")),
    ("matrix products", ("gemm", "nvjet", "cutlass", "cublas", "xmma", "splitk")),
    ("optimizer", ("multi_tensor", "adam", "lpnorm", "div_lerp")),
)


@dataclass(frozen=True)
class Speed:
    """Measure tokens per second of this trainer and of a stand-in for the released trainer."""

    models: tuple[str, ...] = tuple(MODELS)
    """Models to measure."""
    batch_sizes: tuple[int, ...] = (8, 64)
    """Rows per step."""
    context_length: int = 220
    """Tokens per row."""
    baseline: bool = True
    """Also measure the stand-in for the released trainer."""
    revision: str | None = None
    """Code revision to record (default: from git)."""
    out: Path | None = None
    """JSON file for the results; it must not exist."""


def main() -> None:
    """Measure, print a table, and write the results with their settings."""
    settings = cli(Speed, prog="python -m synthetic_training.speed.trainer")
    for name in settings.models:
        if name not in MODELS:
            raise InputError(f"there is no model {name!r}; the models are {', '.join(MODELS)}")
    if settings.out:
        check_new_file(settings.out)

    rates = {"matrix_product_tflops": matrix_rate(), "copy_tb_per_s": _copy_rate()}
    measured: list[dict[str, Any]] = []
    for name in settings.models:
        for batch_size in settings.batch_sizes:
            one: dict[str, Any] = {"model": name, "batch_size": batch_size}
            for part in (_paper, _ours) if settings.baseline else (_ours,):
                try:
                    one |= part(name, batch_size, settings.context_length, rates)
                except (InputError, RuntimeError, torch.OutOfMemoryError) as error:
                    # such as a missing package; the other measurements continue
                    one |= {f"{part.__name__.strip('_')}_failed": f"{type(error).__name__}: {error}"[:500]}
                gc.collect()
                torch.cuda.empty_cache()
            if "paper_tokens_per_s" in one and "tokens_per_s" in one:
                one["ratio"] = one["tokens_per_s"] / one["paper_tokens_per_s"]
            measured.append(one)
            print(json.dumps(one), flush=True)
            if settings.out:
                _write(settings.out, measured, rates, asdict(settings))
    print(table(measured))
    print(parts_table(measured))


def table(measured: list[dict[str, Any]]) -> str:
    """The measurements as a Markdown table."""
    lines = [
        [
            one["model"],
            one["batch_size"],
            *(
                f"{one[key] * scale:.{digits}f}{end}" if key in one else "failed"
                for key, scale, digits, end in (
                    ("paper_tokens_per_s", 1e-3, 1, "k"),
                    ("tokens_per_s", 1e-3, 1, "k"),
                    ("ratio", 1, 1, "x"),
                    ("mfu", 1, 2, ""),
                    ("step_ms", 1, 2, ""),
                    ("floor_ms", 1, 2, ""),
                    ("memory_gb", 1, 1, ""),
                )
            ),
        ]
        for one in measured
    ]
    headers = ["model", "batch", "paper's trainer, tokens/s", "ours, tokens/s", "ratio", "MFU", "step, ms",
               "floor, ms", "memory, GB"]  # fmt: skip
    return markdown_table(headers, lines)


def parts_table(measured: list[dict[str, Any]]) -> str:
    """Milliseconds per step in each kind of kernel, as a Markdown table."""
    kinds = [*dict.fromkeys(kind for kind, _ in _KINDS), "others", "idle"]
    lines = [
        [one["model"], one["batch_size"], *(f"{one['kernels_ms'].get(kind, 0):.1f}" for kind in kinds)]
        for one in measured
        if "kernels_ms" in one
    ]
    return markdown_table(["model", "batch", *kinds], lines)


def _paper(name: str, batch_size: int, context_length: int, _rates: dict[str, float]) -> dict[str, Any]:
    trainer = PaperTrainer(name, batch_size, context_length, "cuda")
    seconds = _seconds(trainer.step, warm_up=3, rounds=3, steps=4)
    return {"paper_tokens_per_s": batch_size * context_length / seconds}


def _ours(name: str, batch_size: int, context_length: int, rates: dict[str, float]) -> dict[str, Any]:
    torch.manual_seed(0)
    torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    model = build_model(name, **_OVERRIDES.get(name, {})).to("cuda")
    batches = PackedBatches(Copy(5, 20), context_length, batch_size, seed=0, device="cuda")
    step = TrainingStep(
        model,
        batches,
        StepConfig("bf16", compile=True),
        OptimizerConfig(weight_decay=0.1, grad_clip=1.0),
        rows=batch_size,
    )
    number = iter(range(1_000_000))

    def run() -> None:
        step.run(next(number), 1e-5)

    for _ in range(5):
        run()
    torch.cuda.synchronize()
    ready = time.perf_counter() - start
    seconds = _seconds(run, warm_up=10, rounds=5, steps=20)
    floor = _floor(model, batch_size, context_length, rates)
    result = {
        "tokens_per_s": batch_size * context_length / seconds,
        "step_ms": 1e3 * seconds,
        "mfu": floor["flops"] / seconds / rates["matrix_product_tflops"] / 1e12,
        "memory_gb": torch.cuda.max_memory_allocated() / 1e9,
        "seconds_to_the_first_steps": ready,
        **floor,
        "loss": step.read().loss,
    }
    return result | {"kernels_ms": _kernels(run, seconds)}


def _seconds(run: Callable[[], object], warm_up: int, rounds: int, steps: int) -> float:
    """Seconds per step: the median over rounds; the device is synchronised at the end of each."""
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - start) / steps)
    return median(times)


def _floor(model: Any, batch_size: int, context_length: int, rates: dict[str, float]) -> dict[str, float]:
    """The minimum number of operations and bytes of a step, and their time at the measured rates."""
    parameters = sum(p.numel() for p in model.parameters())
    embedding = model.get_input_embeddings().weight.numel()
    tokens = batch_size * context_length
    flops = 6.0 * (parameters - embedding) * tokens
    if hasattr(model.config, "num_attention_heads"):
        # two products forward and four backward, over the lower half of (context_length, context_length)
        flops += 6.0 * model.config.num_hidden_layers * tokens * context_length * model.config.hidden_size
    # forward and backward read bfloat16 copies of the float32 weights, and write gradients
    weights = parameters * (4 + 2 + 2 + 2 + 4)
    # the gradient norm reads gradients; AdamW reads them, and reads and writes weights and two moments
    optimizer = parameters * (4 + 4 + 2 * 12)
    arithmetic_s = flops / (rates["matrix_product_tflops"] * 1e12)
    bytes_per_s = rates["copy_tb_per_s"] * 1e12
    floor_s = max(arithmetic_s, weights / bytes_per_s) + optimizer / bytes_per_s
    return {"parameters": parameters, "flops": flops, "floor_ms": 1e3 * floor_s}


def _kernels(run: Callable[[], None], seconds: float) -> dict[str, float]:
    """Milliseconds per step in each kind of kernel."""
    steps = 3
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        for _ in range(steps):
            run()
        torch.cuda.synchronize()
    kinds: dict[str, float] = defaultdict(float)
    for event in profile.key_averages():
        name = event.key.lower()
        kind = next((kind for kind, marks in _KINDS if any(mark in name for mark in marks)), "others")
        kinds[kind] += event.self_device_time_total / 1e3 / steps
    kinds["idle"] = max(0.0, 1e3 * seconds - sum(kinds.values()))
    return dict(kinds)


def matrix_rate(size: int = 8192) -> float:
    """TFLOP/s of a large bfloat16 matrix product of random numbers.

    Raises:
        InputError: there is no GPU.
    """
    if not torch.cuda.is_available():
        raise InputError("there is no CUDA device to measure on")
    a, b = torch.randn(2, size, size, device="cuda", dtype=torch.bfloat16)
    return 2 * size**3 / _seconds(lambda: a @ b, warm_up=5, rounds=5, steps=10) / 1e12


def _copy_rate(size: int = 2**31) -> float:
    """TB/s of a large copy, counting bytes read and bytes written."""
    source = torch.randint(255, (size,), dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    return 2 * size / _seconds(lambda: target.copy_(source), warm_up=2, rounds=5, steps=5) / 1e12


def _write(
    out: Path, measured: list[dict[str, Any]], rates: dict[str, float], options: dict[str, Any]
) -> None:
    content = {
        "measured": measured,
        "rates": rates,
        "options": {key: value for key, value in options.items() if key not in ("out", "revision")},
        **provenance(options["revision"]),
    }
    write_json(out, content)


if __name__ == "__main__":
    with command_errors():
        main()
