"""The selective scan by Triton kernels, as one operation of torch, which compiled graphs do not split.

``mamba_scan`` has the definition. Activations may be bfloat16, float16 or float32; states are float32.
"""

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from synthetic_training.models.kernels.mamba_scan_kernels import (
    backward_kernel,
    forward_kernel,
    gate_backward_kernel,
)


@dataclass
class Blocks:
    """How the work is divided.

    Attributes:
        chunk: steps between stored states; the backward pass keeps this many states of its channels in
            registers.
        forward_channels: channels per program, one for each lane of its warps.
        lanes, channels_per_lane: their product is the number of channels per program in the backward pass.
        forward_warps, backward_warps: warps per program.
    """

    chunk: int = 8
    forward_channels: int = 32
    lanes: int = 4
    channels_per_lane: int = 4
    forward_warps: int = 1
    backward_warps: int = 1


BLOCKS = Blocks()


def selective_scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    bias: Tensor,
) -> Tensor:
    """Like ``mamba_scan.selective_scan``; the number of states must be a power of 2.

    Returns:
        (batch, length, channels), in the dtype of x.
    """
    x, dt, b, c, z = (v if v.stride(-1) == 1 else v.contiguous() for v in (x, dt, b, c, z))
    arguments = (x, dt, a.float().t().contiguous(), b, c, skip.float(), z, bias.float())
    save = torch.is_grad_enabled() and any(v.requires_grad for v in arguments)
    return _scan(*arguments, save)[0]


@torch.library.custom_op("repeat_after_me::selective_scan", mutates_args=())
def _scan(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    bias: Tensor,
    save: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gated output; with ``save``, also the output before the gate and the states at each chunk's start."""
    out, y, states = _empty(x, a, save)
    batch, length, channels = x.shape
    forward_kernel[(triton.cdiv(channels, BLOCKS.forward_channels), batch)](
        x,
        dt,
        z,
        b,
        c,
        a,
        skip,
        bias,
        out,
        y,
        states,
        length,
        channels,
        *_strides(x, dt, z, b, c),
        N=len(a),
        LD=BLOCKS.forward_channels,
        CHUNK=BLOCKS.chunk,
        WHOLE=channels % BLOCKS.forward_channels == 0,
        SAVE=save,
        num_warps=BLOCKS.forward_warps,
    )
    return out, y, states


@_scan.register_fake
def _scan_fake(x: Tensor, _dt: Tensor, a: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _empty(x, a, save=others[-1])


def _empty(x: Tensor, a: Tensor, save: bool) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, channels = x.shape
    chunks = -(-length // BLOCKS.chunk)
    saved = (batch, chunks, len(a), channels) if save else (0,)
    return (
        torch.empty_like(x, memory_format=torch.contiguous_format),
        torch.empty(x.shape if save else (0,), dtype=x.dtype, device=x.device),
        torch.empty(saved, dtype=torch.float32, device=x.device),
    )


@torch.library.custom_op("repeat_after_me::selective_scan_backward", mutates_args=())
def _scan_backward(
    dout: Tensor,
    y: Tensor,
    states: Tensor,
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    bias: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of x, dt, a, b, c, skip, z, bias."""
    batch, length, channels = x.shape
    chunk = BLOCKS.chunk
    padded = triton.cdiv(length, chunk) * chunk
    dy = torch.empty(batch, padded, channels, dtype=x.dtype, device=x.device)
    delta = torch.empty_like(dy, dtype=torch.float32)
    dx, ddt, dz = (torch.empty(x.shape, dtype=v.dtype, device=x.device) for v in (x, dt, z))
    gate_block = min(1024, triton.next_power_of_2(channels))
    gate_backward_kernel[(batch * padded, triton.cdiv(channels, gate_block))](
        dout,
        y,
        z,
        dt,
        bias,
        dy,
        dz,
        delta,
        length,
        padded,
        channels,
        *_strides(dout, z, dt),
        BLOCK=gate_block,
        num_warps=4,
    )
    width = BLOCKS.lanes * BLOCKS.channels_per_lane
    blocks = triton.cdiv(channels, width)
    # one part for each block of channels, in a fixed order: atomic additions would not be reproducible
    db = torch.empty(blocks, *b.shape, dtype=b.dtype, device=x.device)
    dc = torch.empty(blocks, *c.shape, dtype=c.dtype, device=x.device)
    da = a.new_empty(batch, *a.shape)
    dskip, dbias = skip.new_empty(batch, channels), bias.new_empty(batch, channels)
    backward_kernel[(blocks, batch)](
        x,
        delta,
        dy,
        b,
        c,
        a,
        skip,
        states,
        dx,
        ddt,
        db,
        dc,
        da,
        dskip,
        dbias,
        length,
        channels,
        *_strides(x, b, c),
        N=len(a),
        LD=BLOCKS.lanes,
        R=BLOCKS.channels_per_lane,
        CHUNK=chunk,
        WHOLE=channels % width == 0,
        num_warps=BLOCKS.backward_warps,
    )
    return dx, ddt, da.sum(0), db.sum(0), dc.sum(0), dskip.sum(0), dz, dbias.sum(0)


@_scan_backward.register_fake
def _scan_backward_fake(*arguments: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.empty(v.shape, dtype=v.dtype, device=v.device) for v in arguments[3:])


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    ctx.save_for_backward(*output[1:], *inputs[:-1])
    ctx.mark_non_differentiable(*output[1:])


def _backward(ctx: Any, dout: Tensor, _dy: Tensor, _dstates: Tensor) -> tuple[Tensor | None, ...]:
    dout = dout if dout.stride(-1) == 1 else dout.contiguous()
    return (*_scan_backward(dout, *ctx.saved_tensors), None)


_scan.register_autograd(_backward, setup_context=_setup_context)


def _strides(*tensors: Tensor) -> list[int]:
    """Strides of the first two axes; the last axis must be dense."""
    return [stride for tensor in tensors for stride in tensor.stride()[:2]]
