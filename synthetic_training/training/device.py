"""The device on which a command computes."""

from typing import Literal

import torch

from dataset_builders import InputError


def resolve_device(name: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    """The device with a name; ``auto`` is the GPU if there is one.

    Raises:
        InputError: there is no GPU, and ``name`` is ``cuda``.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise InputError("there is no GPU that PyTorch can use; pass --device cpu")
    if name == "auto":
        return "cuda" if gpu else "cpu"
    return name
