"""The device on which a command computes."""

from typing import Literal

import torch

from dataset_builders import InputError


def resolve_device(name: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    """The device that is meant, where ``auto`` is the GPU if there is one.

    Raises:
        InputError: a GPU was asked for, and there is none.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise InputError("there is no GPU that PyTorch can use; pass --device cpu")
    if name == "auto":
        return "cuda" if gpu else "cpu"
    return name
