"""Speed and errors of this project's kernels and of those of other packages, measured in one run on a GPU.

    python -m synthetic_training.speed.kernels --out kernels.json

Operations have the sizes of the paper's trainer. Errors are relative to a computation in float64,
``|x - x64| / |x64|``: the error of the output, and the largest error of a gradient. If a package is not
installed, its row says so.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tabulate import tabulate
from torch import Tensor

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json
from synthetic_training.provenance import provenance
from synthetic_training.speed.operations import (
    Contender,
    Operation,
    convolution,
    scan,
    sliding_window,
    window_attention,
)


@dataclass(frozen=True)
class Kernels:
    """Measure the speed and errors of kernels."""

    rows: int = 64
    """Rows per step."""
    context: int = 220
    """Tokens per row."""
    channels: int = 2048
    """Channels of a Mamba layer."""
    states: int = 32
    """States per channel."""
    error_rows: int = 2
    """Number of rows on which errors are measured."""
    revision: str | None = None
    """Code revision to record (default: from git)."""
    out: Path | None = None
    """JSON file for the results; it must not exist."""


def main() -> None:
    """Measure, print a table, and write the results."""
    settings = cli(Kernels, prog="python -m synthetic_training.speed.kernels")
    if settings.out is not None:
        check_new_file(settings.out)
    if not torch.cuda.is_available():
        raise InputError("there is no CUDA device to measure kernels on")
    lines = [
        {"operation": operation.name, "implementation": name, **_measured(operation, build, settings)}
        for operation in (
            scan(settings.context, settings.channels, settings.states),
            convolution(settings.context, settings.channels),
            window_attention(settings.context),
            sliding_window(settings.context),
        )
        for name, build in operation.others.items()
    ]
    columns = ("operation", "implementation", "forward_ms", "both_ms", "output_error", "gradient_error")
    print(tabulate([[_shown(one.get(c, one.get("failed"))) for c in columns] for one in lines], columns,
                   tablefmt="github"))  # fmt: skip
    if settings.out is not None:
        sizes = {k: v for k, v in vars(settings).items() if k not in ("out", "revision")}
        write_json(settings.out, {"measured": lines, "sizes": sizes, **provenance(settings.revision)})


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _measured(operation: Operation, build: Callable[[], Contender], settings: Kernels) -> dict[str, Any]:
    from triton.testing import do_bench_cudagraph

    try:
        contender = build()
    except (ImportError, AttributeError) as error:  # the other package is missing or has another version
        return {"failed": f"{type(error).__name__}: {error}"[:200]}
    function, inputs = contender.function, _typed(operation, settings.rows, contender)
    weights = torch.randn_like(function(*inputs))

    def forward() -> None:
        with torch.no_grad():
            function(*inputs)

    def both() -> None:
        torch.autograd.grad(function(*inputs), inputs, weights)

    # replayed as CUDA graphs, as in a compiled step, so that launching kernels from Python is not timed
    forward_ms, both_ms = (do_bench_cudagraph(one, rep=100, return_mode="median") for one in (forward, both))
    return {
        "dtype": str(contender.dtype).removeprefix("torch."),
        "forward_ms": forward_ms,
        "both_ms": both_ms,
        **_errors(operation, contender, settings.error_rows),
    }


def _typed(operation: Operation, rows: int, contender: Contender) -> list[Tensor]:
    inputs = []
    for i, one in enumerate(operation.inputs(rows)):
        typed = one.to(torch.float32 if i in operation.kept else contender.dtype)
        if contender.channels_first and typed.dim() == 3:
            typed = typed.transpose(1, 2).contiguous().transpose(1, 2)
        inputs.append(typed.requires_grad_())
    return inputs


def _errors(operation: Operation, contender: Contender, rows: int) -> dict[str, float]:
    inputs = _typed(operation, rows, contender)
    # the float64 reference has the same rounded inputs, so that only errors of the computation count
    exact_inputs = [one.detach().double().requires_grad_() for one in inputs]
    exact = operation.reference(*exact_inputs)
    weights = torch.randn_like(exact)
    exact_gradients = torch.autograd.grad(exact, exact_inputs, weights)
    output = contender.function(*inputs)
    gradients = torch.autograd.grad(output, inputs, weights.to(output.dtype))
    return {
        "output_error": _relative(output, exact),
        "gradient_error": max(map(_relative, gradients, exact_gradients)),
    }


def _relative(found: Tensor, exact: Tensor) -> float:
    return float((found.detach().double() - exact.detach()).norm() / exact.detach().norm())


if __name__ == "__main__":
    with command_errors():
        main()
