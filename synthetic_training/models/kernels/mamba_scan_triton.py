"""The selective scan with Triton kernels, as one custom operator, at which compiled graphs do not break.

``mamba_scan`` contains the definition. Activations may be bfloat16, float16 or float32; states are float32.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
import triton
from torch import Tensor

from synthetic_training.models.kernels.mamba_scan_backward_kernel import (
    CHUNK,
    STATE_LANES,
    WIDTH,
    backward_kernel,
)
from synthetic_training.models.kernels.mamba_scan_kernels import forward_kernel


@dataclass
class Blocks:
    """How the work is divided among programs.

    Attributes:
        forward_channels: channels per program of the forward pass, one for each lane of its warps.
        forward_warps: warps per program of the forward pass; a program of the backward pass is one warp.
        backward_registers: maximum number of registers per lane in the backward pass, or ``None`` for no
            limit. With fewer registers, more programs run at the same time, but more values are spilled.
    """

    forward_channels: int = 32
    forward_warps: int = 1
    backward_registers: int | None = None


BLOCKS = Blocks()

_CHUNK = CHUNK.value
_WIDTH = WIDTH.value

_FEWEST_STATES = 16
"""Minimum number of states for tensor cores."""


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
    """Like ``mamba_scan.selective_scan``.

    The number of states is padded with zeros to a power of 2, at least ``_FEWEST_STATES``.

    Returns:
        (batch, length, channels), in the dtype of x.
    """
    x, dt, z = (v if v.stride(-1) == 1 else v.contiguous() for v in (x, dt, z))
    steps = -x.shape[1] % _CHUNK
    states = max(_FEWEST_STATES, triton.next_power_of_2(a.shape[1])) - a.shape[1]
    a = F.pad(a.float().t(), (0, 0, 0, states)).contiguous()
    b, c = (F.pad(v.float(), (0, states, 0, steps)).contiguous() for v in (b, c))
    arguments = (x, dt, a, b, c, skip.float(), z, bias.float())
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
    """Gated output; with ``save``, also the output before the gate and the states of ``forward_kernel``.

    a is (states, channels); b and c are float32, contiguous, and padded to whole chunks.
    """
    out, y, states = _empty(x, a, save)
    batch, length, channels = x.shape
    with torch.cuda.device_of(x):
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
            x.stride(0),
            dt.stride(0),
            z.stride(0),
            x_t=x.stride(1),
            dt_t=dt.stride(1),
            z_t=z.stride(1),
            channels=channels,
            N=len(a),
            LD=BLOCKS.forward_channels,
            STEPS=_CHUNK,
            WHOLE=channels % BLOCKS.forward_channels == 0,
            SAVE=save,
            num_warps=BLOCKS.forward_warps,
            num_stages=1,
            enable_fp_fusion=True,
        )
    return out, y, states


@_scan.register_fake
def _scan_fake(x: Tensor, _dt: Tensor, a: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _empty(x, a, save=others[-1])


def _empty(x: Tensor, a: Tensor, save: bool) -> tuple[Tensor, Tensor, Tensor]:
    batch, length, channels = x.shape
    saved = (batch, -(-length // _CHUNK) + 1, len(a), channels) if save else (0,)
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
    padded = b.shape[1]
    dx, ddt, dz = (torch.empty(x.shape, dtype=v.dtype, device=x.device) for v in (x, dt, z))
    blocks = triton.cdiv(channels, _WIDTH)
    # one partial sum per block of channels, added in a fixed order: atomic additions are not reproducible
    db = torch.empty(blocks, batch, len(a), padded, dtype=x.dtype, device=x.device)
    dc = torch.empty_like(db)
    da = a.new_empty(batch, *a.shape)
    dskip, dbias = skip.new_empty(batch, channels), bias.new_empty(batch, channels)
    steps = skip.new_empty(batch, blocks, 3, _CHUNK, _WIDTH)
    with torch.cuda.device_of(x):
        backward_kernel[(blocks, batch)](
            x,
            dt,
            z,
            y,
            dout,
            _for_lanes(b),
            _for_lanes(c),
            a,
            skip,
            bias,
            states,
            dx,
            ddt,
            dz,
            db,
            dc,
            da,
            dskip,
            dbias,
            steps,
            length,
            x.stride(0),
            dt.stride(0),
            z.stride(0),
            dout.stride(0),
            x_t=x.stride(1),
            dt_t=dt.stride(1),
            z_t=z.stride(1),
            dout_t=dout.stride(1),
            channels=channels,
            N=len(a),
            WHOLE=channels % _WIDTH == 0,
            num_warps=1,
            num_stages=1,
            enable_fp_fusion=True,
            maxnreg=BLOCKS.backward_registers,
        )
    db, dc = (v.sum(0, dtype=torch.float32).transpose(1, 2).contiguous() for v in (db, dc))
    return dx, ddt, da.sum(0), db, dc, dskip.sum(0), dz, dbias.sum(0)


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


def _for_lanes(v: Tensor) -> Tensor:
    """(..., states) in float32 as pairs of states of the same lane, which are ``STATE_LANES`` apart."""
    lanes = v.unflatten(-1, (-1, STATE_LANES.value)).transpose(-1, -2)
    return lanes.contiguous().view(torch.int64)
