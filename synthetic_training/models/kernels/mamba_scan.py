"""The selective scan of Mamba (arXiv 2312.00752, section 3.2) in plain torch, on any device.

Shapes: x, dt and z are (batch, length, channels), a is (channels, states), b and c are (batch, length,
states), skip and bias are (channels,). The paper writes A, B, C and D for a, b, c and skip.

    delta = softplus(dt + bias)
    h_t = exp(delta_t a) h_(t-1) + delta_t x_t b_t      (batch, channels, states), zero before the first
    y_t = (c_t . h_t + skip x_t) silu(z_t)

``scan_floor`` gives the minimum work of a layer: one exponential for each element of h in the forward pass
and two in the backward pass, with each input read once and each output written once.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_CHUNK = 8
"""Number of steps per chunk: enough to amortise the overhead of a call, few enough to fit into a cache."""


class ScanFloor(NamedTuple):
    """The minimum work of one layer's forward and backward scan.

    Attributes:
        exponentials: evaluations of exp.
        flops: multiplications and additions.
        bytes: traffic to and from memory.
    """

    exponentials: int
    flops: int
    bytes: int


def scan_floor(batch: int, length: int, channels: int, states: int, itemsize: int) -> ScanFloor:
    """The minimum work of one layer, forward and backward, with activations of ``itemsize`` bytes.

    In the forward pass, an element of h takes one exponential and 5 operations (delta A, decay, input, C h).
    The backward pass needs h again (4 operations), 12 more operations for the gradients of h, A, B, C, x and
    delta, and the decay once more. The forward pass reads x, dt and z and writes the output; the backward
    pass reads these and the output's gradient and writes three gradients; B and C count once in each pass.
    """
    tokens = batch * length
    elements = tokens * channels * states
    return ScanFloor(3 * elements, 2 * 11 * elements, itemsize * tokens * (11 * channels + 6 * states))


def selective_scan_reference(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    skip: Tensor,
    z: Tensor,
    bias: Tensor,
) -> Tensor:
    """The definition, computed step by step; the faster implementations are tested against it.

    Returns:
        (batch, length, channels).
    """
    delta = F.softplus(dt + bias)
    h = torch.zeros(*x[:, 0].shape, a.shape[1], dtype=delta.dtype, device=x.device)
    y = []
    for t in range(x.shape[1]):
        h = torch.exp(delta[:, t, :, None] * a) * h + (delta * x)[:, t, :, None] * b[:, t, None, :]
        y.append((h * c[:, t, None, :]).sum(-1) + skip * x[:, t])
    return torch.stack(y, dim=1) * F.silu(z)


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
    """The scan in time and memory linear in the length, including the backward pass.

    Returns:
        (batch, length, channels), in the dtype of x.
    """
    dtype = torch.promote_types(a.dtype, dt.dtype)
    delta = F.softplus(dt.to(dtype) + bias)
    states = _Scan.apply(delta, x.to(dtype), a, b.to(dtype), c.to(dtype))
    return ((states + skip * x) * F.silu(z.to(dtype))).to(x.dtype)


class _Scan(torch.autograd.Function):
    """C_t . h_t for every step t, with a backward pass that goes through time once."""

    @staticmethod
    def forward(ctx: Any, delta: Tensor, x: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        # time first, so that each step is contiguous in memory
        delta, x, b, c = (v.transpose(0, 1).contiguous() for v in (delta, x, b, c))
        u = delta * x
        length = len(x)
        h = x.new_zeros(*x.shape[1:], a.shape[1])
        starts, y = [], torch.empty_like(x)
        for start in range(0, length, _CHUNK):
            chunk = slice(start, min(start + _CHUNK, length))
            starts.append(h)
            h_all = _states(h, delta[chunk], u[chunk], a, b[chunk])[0]
            h = h_all[-1].clone()
            torch.matmul(h_all, c[chunk, :, :, None], out=y[chunk].unsqueeze(-1))
        ctx.save_for_backward(delta, x, a, b, c, *starts)
        return y.transpose(0, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        delta, x, a, b, c, *starts = ctx.saved_tensors
        dy = dy.transpose(0, 1).contiguous()
        u = delta * x
        ddelta, du = torch.empty_like(delta), torch.empty_like(x)
        da, db, dc = torch.zeros_like(a), torch.empty_like(b), torch.empty_like(c)
        length = len(x)
        after = torch.zeros_like(starts[0])  # gradient of the state from which the next chunk starts
        for i in reversed(range(len(starts))):
            chunk = slice(i * _CHUNK, min((i + 1) * _CHUNK, length))
            h, decay = _states(starts[i], delta[chunk], u[chunk], a, b[chunk])
            torch.matmul(dy[chunk, :, None, :], h, out=dc[chunk].unsqueeze(-2))
            g = dy[chunk, ..., None] * c[chunk, :, None, :]
            for g_t, decay_t in zip(reversed(g.unbind(0)), reversed(decay.unbind(0)), strict=True):
                g_t += after
                after = decay_t.mul_(g_t)
            after = after.clone()
            torch.matmul(u[chunk, :, None, :], g, out=db[chunk].unsqueeze(-2))
            torch.matmul(g, b[chunk, :, :, None], out=du[chunk].unsqueeze(-1))
            # decay now contains decay_t g_t; multiplied by h_(t-1), it is the gradient of delta_t a
            decay[0] *= starts[i]
            decay[1:] *= h[:-1]
            ddelta[chunk] = (decay * a).sum(-1)
            da += decay.mul_(delta[chunk, ..., None]).sum((0, 1))
        ddelta += du * x
        dx = du.mul_(delta)
        return (*(v.transpose(0, 1) for v in (ddelta, dx)), da, db.transpose(0, 1), dc.transpose(0, 1))


def _states(h: Tensor, delta: Tensor, u: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The states after each step, starting from h, and the decays, both (steps, batch, channels, states)."""
    decay = (delta[..., None] * a).exp_()
    states = u[..., None] * b[:, :, None, :]
    for decay_t, states_t in zip(decay.unbind(0), states.unbind(0), strict=True):
        h = states_t.addcmul_(decay_t, h)
    return states, decay
