"""The short causal convolution of a Mamba layer with its activation, SiLU.

On a GPU, it is computed by the kernels of the package ``causal_conv1d``, if that is installed; otherwise, as
a sum of shifted products, which a compiler fuses.
"""

import importlib.util
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_HAS_PACKAGE = importlib.util.find_spec("causal_conv1d") is not None

_TAPS = range(2, 5)
"""Numbers of taps for which ``causal_conv1d`` has kernels."""

_ALIGNED = 8
"""Number of channels and strides must be multiples of this for the kernels of ``causal_conv1d``."""

_SILU = True


def causal_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Depthwise causal convolution followed by SiLU, computed at least in float32.

    Args:
        x: (batch, length, channels).
        weight: (channels, taps); the last tap belongs to the current token.
        bias: (channels,).

    Returns:
        (batch, length, channels), in the dtype of x.
    """
    if _HAS_PACKAGE and _fits_package(x, weight):
        return _by_package(x, weight, bias)
    return F.silu(shifted_products(x, weight, bias)).to(x.dtype)


def shifted_products(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution without SiLU, at least in float32; shapes as for ``causal_convolution``."""
    weight = weight.to(torch.promote_types(x.dtype, torch.float32))
    taps, length = weight.shape[-1], x.shape[1]
    padded = F.pad(x, (0, 0, taps - 1, 0))
    y = padded[:, :length] * weight[:, 0]
    for k in range(1, taps):
        y = y + padded[:, k : k + length] * weight[:, k]
    return y if bias is None else y + bias


def _fits_package(x: Tensor, weight: Tensor) -> bool:
    return (
        x.is_cuda
        and x.dtype in (torch.bfloat16, torch.float16, torch.float32)
        and weight.shape[1] in _TAPS
        and x.shape[2] % _ALIGNED == 0
        and x.stride(2) == 1
        and all(stride % _ALIGNED == 0 for stride in x.stride()[:2])
    )


def _by_package(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    bias = torch.zeros_like(weight[:, 0]) if bias is None else bias
    return _convolve(x, weight.float().contiguous(), bias.float())


# custom operators, because the compiler cannot trace the package's and would break the graph at each layer
@torch.library.custom_op("repeat_after_me::causal_convolution", mutates_args=())
def _convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    from causal_conv1d.cpp_functions import causal_conv1d_fwd_function

    # the transposed view is channels last, a layout that the kernels accept without a copy
    y: Tensor = causal_conv1d_fwd_function(x.transpose(1, 2), weight, bias, None, None, None, _SILU)
    return y.transpose(1, 2).contiguous()


@_convolve.register_fake
def _convolve_fake(x: Tensor, _weight: Tensor, _bias: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


@torch.library.custom_op("repeat_after_me::causal_convolution_backward", mutates_args=())
def _convolve_backward(dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of x, weight and bias."""
    from causal_conv1d.cpp_functions import causal_conv1d_bwd_function

    transposed, dy = x.transpose(1, 2), dy.contiguous().transpose(1, 2)
    dx, dweight, dbias, _ = causal_conv1d_bwd_function(
        transposed, weight, bias, dy, None, None, None, None, False, _SILU
    )
    return dx.transpose(1, 2).contiguous(), dweight, dbias


@_convolve_backward.register_fake
def _convolve_backward_fake(
    _dy: Tensor, x: Tensor, weight: Tensor, bias: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    return dx, torch.empty_like(weight), torch.empty_like(bias)


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _convolve_backward(dy, *ctx.saved_tensors)


def _setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ARG001  passed by name
    ctx.save_for_backward(*inputs)


_convolve.register_autograd(_backward, setup_context=_setup_context)
