"""The input and forget gates of an xLSTM in float32, also under autocast.

The input gate is the exponential of a projection, whose absolute value transformers caps at 15. In bfloat16,
numbers between 8 and 16 are rounded by up to 1/32, which changes the gate by up to 3%. The projection and the
steps of the cap are each rounded like this.
"""

import torch
from torch import Tensor, nn

_GATES = {"igate_preact", "fgate_preact", "ifgate_preact"}
"""Names of the projections to the input and forget gates in xLSTM layers of transformers and of ``xlstm``."""


class Float32Linear(nn.Linear):
    """A linear layer that computes in the dtype of its weights, float32 or float64, also under autocast."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.to(self.weight.dtype))


def keep_gates_in_float32(model: nn.Module) -> None:
    """Let the input and forget gates of xLSTM layers ignore autocast; other models are unchanged.

    Only the class of the projections changes, not the names and shapes of their weights.
    """
    for name, layer in model.named_modules():
        if name.rpartition(".")[2] in _GATES and type(layer) is nn.Linear:
            layer.__class__ = Float32Linear
