"""Errors of a trained model's outputs and gradients in several precisions, against float64.

    python -m synthetic_training.precision.gradient_errors RUN/model --out errors.json

Gradients are of the loss on a batch of the copy task, also for a model that was trained on another task. Pass
the string lengths, vocabulary and tokens per row of its training. A Mamba is also measured with single
operations in float32 and, if the package mamba-ssm is installed, with its CUDA scan.
"""

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
import tyro
from torch import Tensor, nn
from transformers.utils import logging

from dataset_builders import InputError
from dataset_builders.checks import first_line
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json
from dataset_builders.string_tasks import Copy
from synthetic_training.data.strings.packing import IGNORED, PackedBatches
from synthetic_training.evaluation.saved_model import load_symbol_model, model_folder
from synthetic_training.memory import enough_memory, is_full
from synthetic_training.models import mamba
from synthetic_training.precision.arms import ARMS, RECURRENCE, Arm, applied
from synthetic_training.provenance import provenance
from synthetic_training.training.compilation import repeated_layers
from synthetic_training.training.device import on_device
from synthetic_training.training.precision import float32_precision


@dataclass(frozen=True)
class GradientErrors:
    """Compare gradients with those in float64."""

    checkpoint: tyro.conf.Positional[Path]
    """Folder of a run, or of a model with the symbols of string tasks."""
    out: Path | None = None
    """JSON file for the results; it must not exist."""
    rows: int = 4
    """Number of rows in the batch."""
    context: int = 220
    """Number of tokens per row."""
    min_length: int = 5
    """Minimum string length in letters."""
    max_length: int = 50
    """Maximum string length in letters."""
    vocabulary: int = 26
    """Number of different letters, as in the model's training."""
    seed: int = 12345
    """Random seed of the examples."""
    revision: str | None = None
    """Code revision to record (default: from git)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device on which the model runs; auto uses a GPU if there is one."""
    trust_remote_code: bool = False
    """Run the code in the model's folder."""


def measure(settings: GradientErrors) -> dict[str, Any]:
    """Relative errors ``|x - x64| / |x64|`` of the loss, its gradients and each layer's output, by precision.

    Returns:
        For each arm, the error of the ``loss`` and of all gradients together (``gradient``), and the median
        and maximum over layers of the errors of ``outputs`` and, by kind, of the gradients of ``parameters``.
        Without layers in an ``nn.ModuleList`` or ``nn.RNNBase``, ``outputs`` is that of the logits.
        The arms are ``bf16_without_copies``, ``tf32`` on a GPU, and ``float32``; for a Mamba, also those with
        operations in float32.

    Raises:
        InputError: a setting is out of range, there is no such device, or the folder has no model with the
            symbols of the task that computes in float64.
    """
    folder = model_folder(settings.checkpoint)
    task = Copy(settings.min_length, settings.max_length, settings.vocabulary)
    loaded = load_symbol_model(folder, task.symbols, trust_remote_code=settings.trust_remote_code)
    model = on_device(loaded, settings.device)
    batches = PackedBatches(task, settings.context, settings.rows, settings.seed, model.device)
    packed = batches.batch(0)
    is_mamba = any(isinstance(layer, mamba.FastMambaMixer) for layer in model.modules())
    arms: dict[str, Callable[[], Any]] = {
        name: _arm(arm)
        for name, arm in ARMS.items()
        if not arm.bf16_copies and (is_mamba or not arm.float32_operations)
    }
    on_gpu = model.device.type == "cuda"
    if not on_gpu:
        del arms["tf32"]
    if is_mamba and on_gpu and importlib.util.find_spec("mamba_ssm"):
        arms["bf16_mamba_ssm_scan"] = _mamba_ssm_scan
        arms["bf16_mamba_ssm_scan_float32"] = _mamba_ssm_scan_float32
    found = {}
    for name, context in arms.items():
        with context() as bf16:
            found[name] = _gradients(model, packed.input_ids, packed.targets, bf16)
    model.double()
    try:
        exact = _gradients(model, packed.input_ids, packed.targets, bf16=False)
    except (RuntimeError, NotImplementedError) as error:
        if is_full(error):
            raise
        raise InputError(f"{folder} has no model that computes in float64: {first_line(error)}") from error
    return {name: _errors(one, exact) for name, one in found.items()}


@dataclass
class _Found:
    loss: float
    gradients: dict[str, Tensor]
    outputs: dict[str, Tensor]


def _arm(arm: Arm) -> Callable[[], Any]:
    @contextmanager
    def context() -> Iterator[bool]:
        with applied(arm), float32_precision(arm.precision):
            yield arm.precision == "bf16"

    return context


@contextmanager
def _mamba_ssm_scan() -> Iterator[bool]:
    """Within the block, Mamba layers use the scan of ``mamba_ssm``, the package of Mamba's authors."""
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    def scan(
        x: Tensor, dt: Tensor, decay: Tensor, b: Tensor, c: Tensor, skip: Tensor, z: Tensor, bias: Tensor
    ) -> Tensor:
        x, dt, b, c, z = (v.transpose(1, 2).contiguous() for v in (x, dt, b, c, z))
        y: Tensor = selective_scan_fn(x, dt, decay, b, c, skip, z, bias, delta_softplus=True)
        return y.transpose(1, 2)

    ours = mamba._scan
    mamba._scan = scan  # type: ignore[assignment]  # undone below
    try:
        yield True
    finally:
        mamba._scan = ours


@contextmanager
def _mamba_ssm_scan_float32() -> Iterator[bool]:
    with applied(Arm(float32_operations=frozenset(RECURRENCE))), _mamba_ssm_scan() as bf16:
        yield bf16


def _gradients(model: Any, input_ids: Tensor, targets: Tensor, bf16: bool) -> _Found:
    outputs: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            outputs[name] = hidden.detach().double()

        return hook

    # all layers of an LSTM are one module
    layers = repeated_layers(model) or [part for part in model.modules() if isinstance(part, nn.RNNBase)]
    hooks = [layer.register_forward_hook(keep(str(number))) for number, layer in enumerate(layers)]
    for part in model.modules():
        if isinstance(part, nn.RNNBase):  # cuDNN computes their gradients only in training mode
            part.train()
            part.dropout = 0.0
    model.zero_grad()
    with torch.autocast(input_ids.device.type, torch.bfloat16, enabled=bf16):
        logits = model(input_ids=input_ids, use_cache=False).logits
    wide = logits if logits.dtype == torch.float64 else logits.float()
    loss = nn.functional.cross_entropy(wide.flatten(0, 1), targets.flatten(), ignore_index=IGNORED)
    loss.backward()
    if not layers:
        outputs["logits"] = logits.detach().double()
    for hook in hooks:
        hook.remove()
    gradients = {name: p.grad.double() for name, p in model.named_parameters() if p.grad is not None}
    return _Found(loss.item(), gradients, outputs)


def _errors(found: _Found, exact: _Found) -> dict[str, Any]:
    kinds: dict[str, list[float]] = {}
    squared = torch.zeros((), dtype=torch.float64)
    for name, gradient in exact.gradients.items():
        difference = (found.gradients[name] - gradient).norm()
        squared += difference.cpu() ** 2
        kind = ".".join(part for part in name.split(".") if not part.isdigit())
        kinds.setdefault(kind, []).append(float(difference / gradient.norm().clamp(min=1e-300)))
    whole = sum(float(g.norm()) ** 2 for g in exact.gradients.values()) ** 0.5
    outputs = [float((found.outputs[name] - one).norm() / one.norm()) for name, one in exact.outputs.items()]
    return {
        "loss": abs(found.loss - exact.loss) / exact.loss,
        "gradient": float(squared**0.5) / whole,
        "gradient_norm": whole,
        "outputs": _median_and_largest(outputs),
        "parameters": {kind: _median_and_largest(errors) for kind, errors in kinds.items()},
    }


def _median_and_largest(values: list[float]) -> dict[str, float]:
    return {"median": median(values), "largest": max(values)}


def main() -> None:
    prog = "python -m synthetic_training.precision.gradient_errors"
    settings = cli(GradientErrors, description=__doc__, prog=prog)
    logging.disable_progress_bar()
    if settings.out is not None:
        check_new_file(settings.out)
    with enough_memory("reduce --rows, or pass --device cpu"):
        errors = measure(settings)
    for arm, one in errors.items():
        print(
            f"{arm:32} loss {one['loss']:.1e}  gradient {one['gradient']:.1e}  "
            f"outputs {one['outputs']['median']:.1e} to {one['outputs']['largest']:.1e}"
        )
    norm = errors["float32"]["gradient_norm"]
    print(
        "\nErrors relative to float64: of the loss, the gradient, and layers' outputs (median to largest).\n"
        f"Batch: copies of strings of {settings.min_length} to {settings.max_length} letters, "
        f"{settings.vocabulary} different ones. Norm of the exact gradient: {norm:.1e}"
    )
    if settings.out is not None:
        content = {
            "errors": errors,
            "rows": settings.rows,
            "context": settings.context,
            "lengths": [settings.min_length, settings.max_length],
            "vocabulary": settings.vocabulary,
            "seed": settings.seed,
        }
        write_json(settings.out, {**content, **provenance(settings.revision)})


if __name__ == "__main__":
    with command_errors():
        main()
