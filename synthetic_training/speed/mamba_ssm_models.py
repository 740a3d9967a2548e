"""Models of the package ``mamba_ssm``, whose kernels are measured for comparison.

The package needs CUDA, so it is imported only when a model is built.
"""

from typing import Any

from torch import Tensor, nn


class Mamba2(nn.Module):
    """The Mamba-2 of ``mamba_ssm`` with the sizes of the preset ``paper``.

    It maps token ids (batch, length) to logits (batch, length, vocabulary).
    """

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
