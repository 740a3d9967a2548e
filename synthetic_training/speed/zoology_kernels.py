"""Kernels of Zoology's Mamba in plain torch, with which its trainer also runs on a CPU.

Functions have the names and arguments of ``mamba_ssm``, as far as Zoology uses them. Shapes: B batch, C
channels, L tokens, W width, N states, R rank of the step size.
"""

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.models.kernels.causal_convolution import causal_convolution
from synthetic_training.models.kernels.mamba_scan import selective_scan

LAYER_NORM = "zoology.mixers.mamba_ssm.triton.layernorm"
SELECTIVE_SCAN = "zoology.mixers.mamba_ssm.selective_scan_interface"
"""Zoology's modules with kernels."""


class RMSNorm(nn.Module):
    """The weights of an RMSNorm; Zoology passes them to ``rms_norm_fn``."""

    bias: None

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps, self.weight = eps, nn.Parameter(torch.ones(width))
        self.register_parameter("bias", None)


def rms_norm_fn(
    x: Tensor,
    weight: Tensor,
    _bias: None,
    *,
    residual: Tensor | None,
    prenorm: bool,
    residual_in_fp32: bool,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """The norm of ``x`` plus ``residual``, and this sum; all (..., W)."""
    assert prenorm and residual_in_fp32, "as Zoology's MambaBlock calls it"  # noqa: S101
    total = x if residual is None else x + residual
    return F.rms_norm(total, weight.shape, weight, eps), total


def mamba_inner_fn(
    xz: Tensor,
    convolution: Tensor,
    convolution_bias: Tensor,
    x_proj: Tensor,
    dt_proj: Tensor,
    out_proj: Tensor,
    out_proj_bias: Tensor | None,
    decay: Tensor,
    _b: None,
    _c: None,
    skip: Tensor,
    *,
    delta_bias: Tensor,
    delta_softplus: bool,
) -> Tensor:
    """A Mamba layer without its first projection.

    Args:
        xz: (B, 2C, L), the layer's input and its gate.
        convolution: (C, 1, taps).
        convolution_bias: (C,).
        x_proj: (R + 2N, C).
        dt_proj: (C, R).
        out_proj: (W, C).
        out_proj_bias: (W,).
        decay: (C, N).
        skip: (C,).
        delta_bias: (C,), bias of the step size.
        delta_softplus: true.

    Returns:
        (B, L, W).
    """
    assert delta_softplus, "as Zoology's Mamba calls it"  # noqa: S101
    x, z = xz.transpose(1, 2).chunk(2, dim=-1)
    x = causal_convolution(x, convolution[:, 0], convolution_bias)
    states = decay.shape[1]
    dt, b, c = F.linear(x, x_proj).split([dt_proj.shape[1], states, states], dim=-1)
    y = selective_scan(x, F.linear(dt, dt_proj), decay, b, c, skip, z, delta_bias)
    return F.linear(y, out_proj, out_proj_bias)


def use_plain_kernels() -> None:
    """Let Zoology's Mamba use the functions of this file.

    Raises:
        InputError: Zoology's Mamba cannot be imported.
    """
    norm, scan = ModuleType(LAYER_NORM), ModuleType(SELECTIVE_SCAN)
    vars(norm).update(RMSNorm=RMSNorm, rms_norm_fn=rms_norm_fn, layer_norm_fn=None)
    vars(scan).update(selective_scan_fn=None, mamba_inner_fn=mamba_inner_fn)
    sys.modules |= {LAYER_NORM: norm, SELECTIVE_SCAN: scan}
    # Zoology imports this package, but calls it only for kernels that are not used here
    package = ModuleType("causal_conv1d")
    vars(package).update(causal_conv1d_fn=None, __spec__=ModuleSpec("causal_conv1d", None))
    installed = sys.modules.get("causal_conv1d")
    sys.modules["causal_conv1d"] = package
    try:
        importlib.import_module("zoology.mixers.mamba")
    except ImportError as error:
        raise InputError(f"zoology's Mamba cannot be imported: {error}") from None
    finally:
        del sys.modules["causal_conv1d"]
        if installed is not None:
            sys.modules["causal_conv1d"] = installed
