"""The precision of matrix products."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from dataset_builders import InputError

Precision = Literal["bf16", "tf32", "fp32"]


def resolve_precision(
    name: Literal["auto", "bf16", "tf32", "fp32"], device: Literal["cpu", "cuda"]
) -> Precision:
    """The precision with this name; ``auto`` is bf16 on a GPU and fp32 on a CPU.

    Raises:
        InputError: the device does not support it.
    """
    if name == "tf32" and device == "cpu":
        raise InputError("precision tf32 needs an NVIDIA GPU; on a CPU, pass --precision fp32")
    if name == "auto":
        return "bf16" if device == "cuda" else "fp32"
    return name


@contextmanager
def float32_precision(precision: Precision) -> Iterator[None]:
    """Within the block, products of float32 matrices use TF32 for ``tf32``, and full precision otherwise.

    This includes cuDNN's recurrent layers and convolutions, for which PyTorch's default is TF32.
    """
    tf32 = precision == "tf32"
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
