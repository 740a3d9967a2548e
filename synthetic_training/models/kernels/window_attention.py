"""Attention of heads that see only the last few keys, with Triton kernels, as one custom operator.

Like Hard-ALiBi's masked heads (arXiv 2402.01032, section 3), head h sees the h + 1 keys query-h .. query.

Shapes: B batch, M heads, L positions, D dimensions of a head.
"""

from typing import Any

import torch
import triton
from torch import Tensor

from synthetic_training.models.kernels.window_attention_kernels import (
    window_forward_kernel,
    window_key_kernel,
    window_query_kernel,
)

BLOCK = 32
"""Positions per program."""

WARPS = 4
"""Warps per program."""


def window_attention(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """Sliding-window attention: head h = 0 .. M-1 attends to the last h + 1 keys.

    Args:
        query, key, value: (B, M, L, D) with any strides, in bfloat16, float16 or float32. Queries and keys of
            another dtype are converted to the dtype of the values, as under autocast.
        scaling: factor of the scores.

    Returns:
        (B, M, L, D), in the dtype of the values and in the memory order (B, L, M, D).
    """
    return _attend(query.to(value.dtype), key.to(value.dtype), value, scaling)[0]


@torch.library.custom_op("repeat_after_me::window_attention", mutates_args=())
def _attend(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> tuple[Tensor, Tensor]:
    """The output, (B, M, L, D), and the base-2 log-sum-exp of the scores, (B, M, L)."""
    output, lse = _by_position(query), _by_head(query)
    grid, sizes, constants = _work(query)
    with torch.cuda.device_of(query):
        window_forward_kernel[grid](
            query, key, value, output, lse, scaling, *sizes, *_strides(query, key, value), **constants
        )
    return output, lse


@_attend.register_fake
def _attend_fake(query: Tensor, _key: Tensor, _value: Tensor, _scaling: float) -> tuple[Tensor, Tensor]:
    return _by_position(query), _by_head(query)


@torch.library.custom_op("repeat_after_me::window_attention_backward", mutates_args=())
def _attend_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, lse: Tensor, scaling: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of queries, keys and values, in the memory order of the output."""
    dq, dk, dv = (_by_position(query) for _ in range(3))
    delta = torch.empty_like(lse)
    grid, sizes, constants = _work(query)
    states = (grad, query, key, value, lse, delta)
    rest = (scaling, *sizes, *_strides(grad, query, key, value))
    with torch.cuda.device_of(query):
        window_query_kernel[grid](*states, dq, *rest, **constants)
        window_key_kernel[grid](*states, dk, dv, *rest, **constants)
    return dq, dk, dv


@_attend_backward.register_fake
def _attend_backward_fake(_grad: Tensor, query: Tensor, *_others: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _by_position(query), _by_position(query), _by_position(query)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, ctx.scaling = inputs
    ctx.save_for_backward(query, key, value, output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, grad: Tensor, _dlse: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
    return (*_attend_backward(grad, *ctx.saved_tensors, ctx.scaling), None)


_attend.register_autograd(_backward, setup_context=_setup_context)


def _by_position(states: Tensor) -> Tensor:
    """An uninitialised tensor like the argument, but in the memory order (B, L, M, D)."""
    batch, heads, length, width = states.shape
    return states.new_empty(batch, length, heads, width).transpose(1, 2)


def _by_head(states: Tensor) -> Tensor:
    """An uninitialised float32 tensor of shape (B, M, L)."""
    return states.new_empty(states.shape[:3], dtype=torch.float32)


def _work(states: Tensor) -> tuple[tuple[int], tuple[int, int], dict[str, int]]:
    """Number of programs; heads and length; constants of the kernels."""
    batch, heads, length, width = states.shape
    constants = {
        "D": width,
        "PADDED": triton.next_power_of_2(width),
        "BLOCK": BLOCK,
        "num_warps": WARPS,
    }
    return (batch * heads * triton.cdiv(length, BLOCK),), (heads, length), constants


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for tensor in tensors for stride in tensor.stride()]
