"""The device on which a command runs."""

from typing import Literal

import torch
from transformers import PreTrainedModel

from dataset_builders import InputError
from synthetic_training.models.model_types import check_device, is_of_package, package_of


def resolve_device(name: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    """The device with this name; ``auto`` is the GPU if there is one.

    Raises:
        InputError: ``name`` is ``cuda``, and there is no GPU.
    """
    gpu = torch.cuda.is_available()
    if name == "cuda" and not gpu:
        raise InputError("there is no GPU that PyTorch can use; pass --device cpu")
    if name == "auto":
        return "cuda" if gpu else "cpu"
    return name


def on_device(model: PreTrainedModel, name: Literal["auto", "cpu", "cuda"]) -> PreTrainedModel:
    """The model in evaluation mode, moved to the device with this name.

    Raises:
        InputError: there is no such device, or the model cannot run on it.
    """
    device = torch.device(resolve_device(name))
    check_device(f"a model of type {model.config.model_type}", package_of(model), device)
    moved: PreTrainedModel = model.to(device)
    return moved.eval()


def autocasts(model: PreTrainedModel) -> bool:
    """Whether a model is evaluated in bfloat16, because some kernels of packages do not accept float32."""
    return model.device.type == "cuda" and is_of_package(model)
