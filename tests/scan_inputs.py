"""Random inputs of Mamba's scan; importing transformers would take longer than testing a kernel."""

import torch
from torch import Tensor


def scan_inputs(batch: int, length: int, channels: int, states: int, dtype: torch.dtype) -> list[Tensor]:
    """x, dt, a, b, c, skip, z, bias."""
    draw = torch.Generator().manual_seed(length)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=draw, dtype=torch.float64)

    sequence = (batch, length, channels)
    rates = -torch.exp(normal(channels, states))
    b, c = normal(batch, length, states), normal(batch, length, states)
    skip, bias = normal(channels), normal(channels) - 2
    inputs = [normal(*sequence), normal(*sequence), rates, b, c, skip, normal(*sequence), bias]
    return [v.to(dtype).requires_grad_() for v in inputs]
