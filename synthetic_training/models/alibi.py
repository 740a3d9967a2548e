"""The project's kernels for ALiBi and Hard-ALiBi, which saved models (``modeling_alibi``) do not contain."""

import importlib.util

import torch

from synthetic_training.models import modeling_alibi
from synthetic_training.models.modeling_alibi import AlibiForCausalLM, HardAlibiForCausalLM


def use_fast_attention(model: AlibiForCausalLM | HardAlibiForCausalLM) -> None:
    """Let a model run without a mask tensor if it is called without mask, position ids and cache."""
    # querying a device would initialise CUDA, after which a process must not fork
    if torch.version.cuda is not None and importlib.util.find_spec("triton") is not None:
        from synthetic_training.models.kernels import window_attention

        modeling_alibi.fast_attend_to_last = window_attention.window_attention
    model.set_attn_implementation(f"{model.scheme}_{model.without_mask_tensor}")
