"""The process in which ``synthetic_training.speed.architectures`` measures one architecture.

It exchanges lines of text with the process that started it. It imports its packages, prints ``loaded`` and
waits for ``warm``; then it compiles and tunes kernels, while other processes use the same device, prints
``ready`` and waits for ``time``; then it measures, with the device to itself, and prints a line of JSON.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

from dataset_builders.checks import first_line

STEPS = 50
"""Number of training steps after which the loss is measured."""

_EAGER_STEPS = 10
_ROUND = 10
_MOST_SECONDS = 20.0
"""Maximum expected time of the remaining steps; slower architectures skip them."""


def main() -> None:
    """Measure the architecture that the arguments describe, and print the result."""
    job = json.loads(sys.argv[1])
    result: dict[str, Any] = {}
    try:
        _measure(job, result)
    except Exception as error:  # noqa: BLE001  one architecture's error is a row of the table
        result["error"] = f"{type(error).__name__}: {first_line(error)}"[:300]
        result["error_in"] = _place(error)
    print(json.dumps(result), flush=True)


def _wait(status: str, expected: str) -> None:
    print(status, flush=True)
    if sys.stdin.readline().strip() != expected:
        sys.exit(1)  # the process that started this one has ended


def _measure(job: dict[str, Any], result: dict[str, Any]) -> None:
    import torch

    from dataset_builders.string_tasks import Copy
    from synthetic_training.data.strings import PackedBatches
    from synthetic_training.models.presets import presets
    from synthetic_training.models.registry import build_model, find_architecture
    from synthetic_training.models.sizes import preset_arguments
    from synthetic_training.models.slow_paths import missing_kernels
    from synthetic_training.training.graphs import Replayed
    from synthetic_training.training.optimizer import OptimizerConfig
    from synthetic_training.training.step import StepConfig, TrainingStep

    name, rows, length, device = job["model"], job["rows"], job["context_length"], job["device"]
    warnings.simplefilter("ignore")
    with torch.device("meta"):
        find_architecture(name)
    # the sizes of other packages' models, which are measured for comparison, are fixed in their code
    arguments = preset_arguments(job["preset"], name, {}) if name in presets()[job["preset"]] else {}
    _wait("loaded", "warm")

    torch.manual_seed(0)
    start = time.perf_counter()
    model = build_model(name, **arguments).to(device)
    result |= {
        "parameters": sum(p.numel() for p in model.parameters()),
        "embedding": _embedding(model),
        "attention_width": _attention_width(model),
        "missing_kernels": missing_kernels(model),
        "build_s": time.perf_counter() - start,
    }
    batches = PackedBatches(Copy(5, 20), length, rows, seed=0, device=device)
    config = StepConfig("bf16", compile=job["compile"])
    step = TrainingStep(model, batches, config, OptimizerConfig(weight_decay=0.1, grad_clip=1.0), rows=rows)
    number = iter(range(1_000_000))

    def run() -> None:
        step.run(next(number), 3e-4)

    start = time.perf_counter()
    run()
    _synchronize(device)
    result["first_step_s"] = time.perf_counter() - start
    for _ in range(4 if job["compile"] else 2):  # with --compile, the fourth step is captured as a CUDA graph
        run()
    _synchronize(device)
    result["warm_up_s"] = time.perf_counter() - start
    torch.cuda.empty_cache()  # while other processes compile
    _wait("ready", "time")

    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    key = "compiled" if job["compile"] else "eager"
    seconds = _timed(run, device, STEPS - 5 if job["compile"] else _EAGER_STEPS)
    result[f"{key}_tokens_per_s"] = rows * length / seconds
    if device == "cuda":
        result["memory_gb"] = torch.cuda.max_memory_allocated() / 1e9
    if not job["compile"] and device == "cuda":
        torch.cuda.empty_cache()
        try:
            step._run = Replayed(step._update)
            for _ in range(4):
                run()
            graph_seconds = _timed(run, device, STEPS - 7 - _EAGER_STEPS)
            result["graph_tokens_per_s"] = rows * length / graph_seconds
        except Exception as error:  # noqa: BLE001  that a step cannot be captured is a result
            result["graph_error"] = f"{type(error).__name__}: {first_line(error)}"[:300]
            step._run = step._update
    done = next(number)
    if done < STEPS and seconds * (STEPS - done) < _MOST_SECONDS:
        for _ in range(STEPS - done):
            run()
        done = STEPS
    metrics = step.read()
    # discard the losses of earlier steps
    run()
    last = step.read()
    result |= {"steps": done, "mean_loss": metrics.loss, "loss": last.loss, "finite": last.finite}


def _timed(run: Callable[[], None], device: str, steps: int) -> float:
    """Seconds per step: the median over rounds, which have at most ``steps`` steps in total."""
    from statistics import median

    times: list[float] = []
    begin = time.perf_counter()
    while steps > 0 and (not times or time.perf_counter() - begin < _MOST_SECONDS):
        now = 1 if times and times[0] > 1 else min(_ROUND, steps)
        start = time.perf_counter()
        for done in range(now):
            run()
            if not times and done == 0 and device == "cuda":
                _synchronize(device)
                if time.perf_counter() - start > 1:  # steps are slow: fewer per round
                    now = 1
                    break
        _synchronize(device)
        times.append((time.perf_counter() - start) / now)
        steps -= now
    return median(times)


def _embedding(model: Any) -> int:
    """Number of parameters of the embedding, which need no floating-point operations."""
    from torch import nn

    return next(layer.weight.numel() for layer in model.modules() if isinstance(layer, nn.Embedding))


def _attention_width(model: Any) -> int:
    """The sum over layers of the width of softmax attention; 0 for recurrent layers."""
    config = model.config
    types = getattr(config, "layer_types", None)
    if types:
        count = sum("full" in one or one == "attention" for one in types)
    elif hasattr(config, "num_attention_heads") and not hasattr(config, "state_size"):
        count = config.num_hidden_layers
    else:
        count = 0
    return int(count * config.hidden_size) if count else 0


def _synchronize(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{'/'.join(trace.tb_frame.f_code.co_filename.split('/')[-3:])}:{trace.tb_lineno}"


if __name__ == "__main__":
    main()
