"""The six models of arXiv 2402.01032, section 3, at the paper's sizes, and their types for transformers."""

from __future__ import annotations

from collections.abc import Mapping

from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    MambaConfig,
    MambaForCausalLM,
)

from synthetic_training.data.symbol_tokenizer import USUAL, model_tokens
from synthetic_training.models import alibi, gpt_neox, mamba
from synthetic_training.models.architecture import Architecture
from synthetic_training.models.modeling_alibi import (
    AlibiConfig,
    AlibiForCausalLM,
    HardAlibiConfig,
    HardAlibiForCausalLM,
)
from synthetic_training.models.modeling_lstm import LstmConfig, LstmForCausalLM
from synthetic_training.models.modeling_mamba_layer_norm import (
    FinalLayerNormMambaConfig,
    FinalLayerNormMambaForCausalLM,
    LayerNormMambaConfig,
    LayerNormMambaForCausalLM,
)

SYMBOL_TOKENS: Mapping[str, int] = model_tokens(USUAL)
"""The 30 symbols of the string tasks, as arguments of a model's configuration."""

WIDTH, LAYERS, HEADS = 1024, 12, 16

TRANSFORMER = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 2048,
}

MODELS: dict[str, Architecture] = {
    "T_rope": Architecture(
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        TRANSFORMER,
        {"rotary_pct": 0.25},
        use_fast_kernels=gpt_neox.use_causal_attention,
    ),
    "T_nope": Architecture(
        GPTNeoXConfig,
        GPTNeoXForCausalLM,
        TRANSFORMER,
        {"rotary_pct": 0.0},
        use_fast_kernels=gpt_neox.use_causal_attention,
    ),
    "T_alibi": Architecture(
        AlibiConfig, AlibiForCausalLM, TRANSFORMER, use_fast_kernels=alibi.use_fast_attention
    ),
    "T_hard_alibi": Architecture(
        HardAlibiConfig,
        HardAlibiForCausalLM,
        {**TRANSFORMER, "num_masked_heads": 8},
        use_fast_kernels=alibi.use_fast_attention,
    ),
    "mamba": Architecture(
        MambaConfig,
        MambaForCausalLM,
        {"hidden_size": WIDTH, "num_hidden_layers": 24, "state_size": 32},
        {"x_proj_gain": 1.0},
        initialise=mamba.draw_authors_weights,
        use_fast_kernels=mamba.use_fast_scan,
        variants={
            "norm": {
                "rms": (MambaConfig, MambaForCausalLM),
                "layer": (LayerNormMambaConfig, LayerNormMambaForCausalLM),
                "final_layer": (FinalLayerNormMambaConfig, FinalLayerNormMambaForCausalLM),
            }
        },
    ),
    "lstm": Architecture(LstmConfig, LstmForCausalLM, {"hidden_size": WIDTH, "num_hidden_layers": 4}),
}

for _config, _model in (
    (AlibiConfig, AlibiForCausalLM),
    (HardAlibiConfig, HardAlibiForCausalLM),
    (LstmConfig, LstmForCausalLM),
    (FinalLayerNormMambaConfig, FinalLayerNormMambaForCausalLM),
    (LayerNormMambaConfig, LayerNormMambaForCausalLM),
):
    AutoConfig.register(_config.model_type, _config)
    AutoModelForCausalLM.register(_config, _model)
