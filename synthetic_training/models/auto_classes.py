"""Model types of our own; importing this makes them known to transformers' Auto classes."""

import importlib.util

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from synthetic_training.models import modeling_alibi
from synthetic_training.models.modeling_alibi import (
    AlibiConfig,
    AlibiForCausalLM,
    HardAlibiConfig,
    HardAlibiForCausalLM,
)
from synthetic_training.models.modeling_lstm import LstmConfig, LstmForCausalLM

__all__ = ["AlibiForCausalLM", "HardAlibiForCausalLM", "LstmForCausalLM"]

for _config, _model in (
    (AlibiConfig, AlibiForCausalLM),
    (HardAlibiConfig, HardAlibiForCausalLM),
    (LstmConfig, LstmForCausalLM),
):
    AutoConfig.register(_config.model_type, _config)
    AutoModelForCausalLM.register(_config, _model)

# asking for a device would start CUDA, after which a process must not fork
if torch.version.cuda is not None and importlib.util.find_spec("triton") is not None:
    from synthetic_training.models.kernels import window_attention

    modeling_alibi.fast_attend_to_last = window_attention.window_attention
