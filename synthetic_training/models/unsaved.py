"""Says why safetensors cannot save a model, under the names in the user's module."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from synthetic_training.models.bare_module import BareModuleForCausalLM

Shapes = Mapping[str, tuple[int, ...]]


def saved_shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    """The shape of each tensor in a model's state, by its name in the user's module."""
    return {name: tuple(value.shape) for name, value in _state(model).items() if isinstance(value, Tensor)}


def why_not_saved(model: nn.Module, before: Shapes) -> str | None:
    """Why a model cannot be saved with safetensors and loaded again; None if unknown.

    Args:
        model: a model after training passes.
        before: ``saved_shapes`` of the model before them.

    Returns:
        The reason and what would work, as a part of a sentence.
    """
    state = _state(model)
    for name, value in state.items():
        if not isinstance(value, Tensor):
            return (
                f"safetensors saves only tensors, and {name} is a {type(value).__name__}; let "
                "get_extra_state return a tensor"
            )
        if value.layout != torch.strided or value.is_quantized:
            kind = "quantized" if value.is_quantized else "sparse"
            return (
                f"safetensors saves only dense tensors, and {name} is {kind}; build it in the constructor, "
                "and pass persistent=False to register_buffer"
            )
    after = saved_shapes(model)
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            first, last = (one.get(name, "no tensor") for one in (before, after))
            return (
                f"the shape of {name} changes in training, here from {first} to {last}; register it in its "
                "final shape, or pass persistent=False to register_buffer"
            )
    for (one, first), (other, second) in combinations(state.items(), 2):
        if first is not second and _overlap(first, second):
            return (
                f"{one} and {other} share memory, which they would not do after loading; clone one of them, "
                "or compute it from the other in forward"
            )
    return None


def rounded_in_loading(model: nn.Module, again: nn.Module) -> str | None:
    """Why weights of a loaded model are less precise, as a part of a sentence; None if they are not.

    ``from_pretrained`` keeps the precision to which a class converts its weights in its constructor.

    Args:
        model: the model that was saved, in float32.
        again: the same model, loaded and converted to float32.
    """
    loaded = _state(again)
    for name, value in _state(model).items():
        other = loaded.get(name)
        if isinstance(other, Tensor) and other.shape == value.shape and not torch.equal(other, value):
            for dtype in (torch.bfloat16, torch.float16):
                if torch.equal(other, value.to(dtype).to(value.dtype)):
                    return f"its code builds {name} in {str(dtype).removeprefix('torch.')}"
    return None


def _state(model: nn.Module) -> dict[str, Any]:
    prefix = "module." if isinstance(model, BareModuleForCausalLM) else ""
    return {name.removeprefix(prefix): value for name, value in model.state_dict(keep_vars=True).items()}


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether two dense tensors have elements in the same range of memory."""
    if one.untyped_storage().data_ptr() != other.untyped_storage().data_ptr():
        return False
    (start, end), (first, last) = map(_range, (one, other))
    return start < last and first < end


def _range(tensor: Tensor) -> tuple[int, int]:
    """The addresses of a tensor's first byte, and of the byte after its last."""
    if tensor.numel() == 0:
        return 0, 0
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return tensor.data_ptr(), tensor.data_ptr() + (steps + 1) * tensor.element_size()
