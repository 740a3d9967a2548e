"""Models of the package ``mamba_ssm``, to measure its kernels beside those that models here use.

The package is imported only when a model is built: it needs CUDA.
"""

from typing import Any

from torch import Tensor, nn


class Mamba2(nn.Module):
    """Its Mamba-2 in the size of the preset ``paper``, from token ids (batch, length) to logits."""

    def __init__(self, vocab_size: int, hidden_size: int = 1024, num_hidden_layers: int = 24) -> None:
        from mamba_ssm.models.config_mamba import MambaConfig
        from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel

        super().__init__()
        self.model: Any = MambaLMHeadModel(
            MambaConfig(
                d_model=hidden_size,
                n_layer=num_hidden_layers,
                vocab_size=vocab_size,
                ssm_cfg={"layer": "Mamba2"},
                pad_vocab_size_multiple=1,
            )
        )

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.model(ids).logits
        return logits
