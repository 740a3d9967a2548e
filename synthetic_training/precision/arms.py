"""The arms of the precision study: the same training run in different precisions."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean

if TYPE_CHECKING:
    from synthetic_training.training.precision import Precision


@dataclass(frozen=True)
class Arm:
    """The difference from training in bfloat16.

    Attributes:
        precision: precision setting of the run.
        bf16_copies: whether the model reads its weight matrices from bfloat16 copies, whose gradients are
            bfloat16 too.
        float32_operations: operations of Mamba layers in float32; see ``FastMambaMixer``.
    """

    precision: "Precision" = "bf16"
    bf16_copies: bool = False
    float32_operations: frozenset[str] = frozenset()


RECURRENCE = ("convolution", "projections", "scan")

ARMS = {
    "bf16": Arm(bf16_copies=True),
    "bf16_without_copies": Arm(),
    "bf16_float32_recurrence": Arm(float32_operations=frozenset(RECURRENCE)),
    "tf32": Arm("tf32"),
    "float32": Arm("fp32"),
    **{f"bf16_float32_{name}": Arm(float32_operations=frozenset([name])) for name in RECURRENCE},
}
"""Arms by name. Only ``bf16`` uses the copies, so ``bf16_without_copies`` is the control of all others."""


def arm_named(name: str) -> Arm:
    """The arm with this name.

    Raises:
        InputError: there is no such arm.
    """
    if name not in ARMS:
        raise InputError(
            f"there is no arm {name!r}; the arms are {', '.join(ARMS)}{did_you_mean(name, ARMS)}"
        )
    return ARMS[name]


@contextmanager
def applied(arm: Arm) -> Iterator[None]:
    """Let Mamba layers and the training step compute in the arm's precision, in this process."""
    import torch

    from synthetic_training.models.mamba import FastMambaMixer

    step: Any = importlib.import_module("synthetic_training.training.step")

    operations, optimizer, matmul = (
        FastMambaMixer.float32_operations,
        step.ClippedAdamW,
        torch.get_float32_matmul_precision(),
    )

    def without_copies(*arguments: Any, **named: Any) -> Any:
        return optimizer(*arguments, **{**named, "copies": False})

    FastMambaMixer.float32_operations = arm.float32_operations  # type: ignore[assignment]  # undone below
    if not arm.bf16_copies:
        step.ClippedAdamW = without_copies
    try:
        yield
    finally:
        FastMambaMixer.float32_operations, step.ClippedAdamW = operations, optimizer
        torch.set_float32_matmul_precision(matmul)
