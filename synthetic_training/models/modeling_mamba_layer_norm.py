"""Mamba with LayerNorm instead of RMSNorm: everywhere, or only before the head.

The code released with arXiv 2402.01032 uses ``mamba_ssm`` 1.0, whose language model has LayerNorm everywhere
by default (``rms_norm=False``). Zoology (arXiv 2312.04927) has it before the head. Everything else is the
Mamba of transformers. This file is copied into the folder of a saved model, so it imports only torch and
transformers.
"""

from torch import nn
from transformers import MambaConfig, MambaForCausalLM


class FinalLayerNormMambaConfig(MambaConfig):
    """Settings of the Mamba of transformers."""

    model_type = "mamba_final_layer_norm"


class FinalLayerNormMambaForCausalLM(MambaForCausalLM):
    """The Mamba of transformers with LayerNorm before the head."""

    config_class = FinalLayerNormMambaConfig

    def __init__(self, config: MambaConfig) -> None:
        super().__init__(config)
        self.backbone.norm_f = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)


class LayerNormMambaConfig(MambaConfig):
    """Settings of the Mamba of transformers."""

    model_type = "mamba_layer_norm"


class LayerNormMambaForCausalLM(FinalLayerNormMambaForCausalLM):
    """The Mamba of transformers with LayerNorm before each layer and before the head."""

    config_class = LayerNormMambaConfig

    def __init__(self, config: LayerNormMambaConfig) -> None:
        super().__init__(config)
        for block in self.backbone.layers:
            block.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)


FinalLayerNormMambaConfig.register_for_auto_class()
FinalLayerNormMambaForCausalLM.register_for_auto_class("AutoModelForCausalLM")
LayerNormMambaConfig.register_for_auto_class()
LayerNormMambaForCausalLM.register_for_auto_class("AutoModelForCausalLM")
