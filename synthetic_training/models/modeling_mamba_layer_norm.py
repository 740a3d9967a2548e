"""Mamba with LayerNorm in place of RMSNorm, as the code released with arXiv 2402.01032 builds it.

That code uses ``mamba_ssm`` 1.0, whose language model has LayerNorm unless it is told otherwise
(``rms_norm=False``). All else is transformers' Mamba. This one file travels with a saved model, so it
imports nothing but torch and transformers.
"""

from torch import nn
from transformers import MambaConfig, MambaForCausalLM


class LayerNormMambaConfig(MambaConfig):
    """Settings of transformers' Mamba."""

    model_type = "mamba_layer_norm"


class LayerNormMambaForCausalLM(MambaForCausalLM):
    """Transformers' Mamba with LayerNorm before each layer and before the head."""

    config_class = LayerNormMambaConfig

    def __init__(self, config: LayerNormMambaConfig) -> None:
        super().__init__(config)
        for block in self.backbone.layers:
            block.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.backbone.norm_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)


LayerNormMambaConfig.register_for_auto_class()
LayerNormMambaForCausalLM.register_for_auto_class("AutoModelForCausalLM")
