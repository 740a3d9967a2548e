"""A faster scan for transformers' Mamba and Jamba, and the authors' initial weights for Mamba.

Checkpoints are unchanged.
"""

import importlib.util
import math
from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.models.jamba.modeling_jamba import JambaMambaMixer
from transformers.models.mamba.modeling_mamba import MambaMixer

from dataset_builders.checks import check_positive
from synthetic_training.models.kernels import mamba_scan
from synthetic_training.models.kernels.causal_convolution import causal_convolution, shifted_products

_HAS_TRITON = importlib.util.find_spec("triton") is not None
if _HAS_TRITON:
    from synthetic_training.models.kernels import mamba_scan_triton


@torch.no_grad()
def draw_authors_weights(model: PreTrainedModel) -> int:
    """Initialise the weights of a Mamba as in its authors' code, mamba_ssm's ``_init_weights``.

    transformers draws most matrices with a standard deviation of 0.1, regardless of their size. With its
    weights, the paper's Mamba (24 layers, 1,024 wide) stays at chance at every learning rate that was tried.

    Args:
        model: a model. Its ``config.x_proj_gain`` (1 if missing) is a factor of the weights that compute B, C
            and the step size. The authors' weights are so small that at first, less than a hundredth of a
            layer's output before ``out_proj`` depends on the state; the rest is the skip connection, D x.

    Returns:
        The number of Mamba layers; if it is 0, the model is unchanged.

    Raises:
        InputError: ``config.x_proj_gain`` is not a number above 0.
    """
    x_proj_gain = getattr(model.config, "x_proj_gain", 1.0)
    check_positive("x_proj_gain of mamba", x_proj_gain)
    layers = [layer for layer in model.modules() if isinstance(layer, MambaMixer)]
    for layer in layers:
        for part in (layer.in_proj, layer.conv1d, layer.x_proj, layer.out_proj):
            part.reset_parameters()
        layer.out_proj.weight /= math.sqrt(len(layers))
        layer.x_proj.weight *= x_proj_gain
    if layers:
        nn.init.normal_(model.get_input_embeddings().weight, std=0.02)
        head = model.get_output_embeddings()
        if head.weight is not model.get_input_embeddings().weight:
            head.reset_parameters()
    return len(layers)


def use_fast_scan(model: nn.Module) -> int:
    """Let every Mamba layer of a model use the project's scan when it processes whole sequences.

    With a cache, the layers do the same as in transformers, so that generation is unchanged. Only the class
    of the layers changes, not the names and shapes of their weights.

    Returns:
        The number of Mamba layers in the model.
    """
    layers = [layer for layer in model.modules() if type(layer) in _FAST]
    for layer in layers:
        layer.__class__ = _FAST[type(layer)]
    return len(layers)


Operation = Literal["convolution", "projections", "scan"]


class _WholeSequences(nn.Module):
    """A Mamba layer's computation of whole sequences, in the layout (batch, length, channels) throughout.

    Attributes:
        float32_operations: operations that compute in float32 although autocast would run them in bfloat16:
            the ``convolution``, the ``projections`` to B, C and the step size, and the ``scan``.
    """

    float32_operations: frozenset[Operation] = frozenset()

    in_proj: nn.Linear
    conv1d: nn.Conv1d
    x_proj: nn.Linear
    dt_proj: nn.Linear
    out_proj: nn.Linear
    act: Callable[[Tensor], Tensor]
    activation: str
    A_log: Tensor
    D: Tensor
    time_step_rank: int
    ssm_state_size: int

    def forward(
        self,
        hidden_states: Tensor,
        cache: Any = None,
        attention_mask: Tensor | None = None,
        *,
        cache_params: Any = None,
        **arguments: Any,
    ) -> Tensor:
        """Maps (batch, length, width) to the same shape; ``attention_mask`` (batch, length) zeroes padding.

        ``cache`` is called ``cache_params`` in transformers before 5.24.
        """
        before = cache_params if cache is None else cache
        if before is not None or arguments:
            return super().forward(hidden_states, before, attention_mask, **arguments)
        x, z = self.in_proj(_masked(hidden_states, attention_mask)).chunk(2, dim=-1)
        x = _masked(self._convolved(x), attention_mask)
        dt, b, c = self._projections(x)
        decay = -torch.exp(self.A_log.float())
        if "scan" in self.float32_operations:
            x, dt, b, c, z = (v.float() for v in (x, dt, b, c, z))
        y = _scan(x, dt, decay, b, c, self.D.float(), z, self.dt_proj.bias.float())
        return self.out_proj(y)

    def _convolved(self, x: Tensor) -> Tensor:
        weight, bias = self.conv1d.weight[:, 0], self.conv1d.bias
        if "convolution" not in self.float32_operations and self.activation == "silu":
            return causal_convolution(x, weight, bias)
        activated = self.act(shifted_products(x, weight, bias))
        return activated if "convolution" in self.float32_operations else activated.to(x.dtype)

    def _projections(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The step size before its bias, (batch, length, channels), and B and C, (batch, length, states)."""
        sizes = [self.time_step_rank, self.ssm_state_size, self.ssm_state_size]
        if "projections" not in self.float32_operations:
            dt, b, c = self._normalised(*self.x_proj(x).split(sizes, dim=-1))
            return F.linear(dt, self.dt_proj.weight), b, c
        with torch.autocast(x.device.type, enabled=False):
            projected = F.linear(x.float(), self.x_proj.weight.float())
            dt, b, c = self._normalised(*projected.split(sizes, dim=-1))
            return F.linear(dt, self.dt_proj.weight.float()), b, c

    def _normalised(self, dt: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return dt, b, c


class FastMambaMixer(_WholeSequences, MambaMixer):
    """The layer of transformers' Mamba."""


class FastJambaMambaMixer(_WholeSequences, JambaMambaMixer):
    """The Mamba layer of transformers' Jamba, which normalises B, C and the step size."""

    dt_layernorm: nn.Module
    b_layernorm: nn.Module
    c_layernorm: nn.Module

    def _normalised(self, dt: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dtype = dt.dtype  # under autocast, norms return float32, of which the scan would read twice the bytes
        dt, b, c = self.dt_layernorm(dt), self.b_layernorm(b), self.c_layernorm(c)
        return dt.to(dtype), b.to(dtype), c.to(dtype)


_FAST: dict[type[nn.Module], type[nn.Module]] = {
    MambaMixer: FastMambaMixer,
    JambaMambaMixer: FastJambaMambaMixer,
}


def _scan(x: Tensor, dt: Tensor, decay: Tensor, *others: Tensor) -> Tensor:
    if x.is_cuda and _HAS_TRITON and x.dtype != torch.float64:
        return mamba_scan_triton.selective_scan(x, dt, decay, *others)
    return mamba_scan.selective_scan(x, dt, decay, *others)


def _masked(hidden_states: Tensor, attention_mask: Tensor | None) -> Tensor:
    if attention_mask is None:
        return hidden_states
    return (hidden_states * attention_mask[:, :, None]).to(hidden_states.dtype)
