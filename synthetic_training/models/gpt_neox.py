"""Causal attention without a mask tensor, for stock models in training."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "causal_sdpa"


def use_causal_attention(model: PreTrainedModel) -> None:
    """Let a model's calls without mask, positions and past take PyTorch's causal attention kernels.

    Under ``torch.compile`` transformers cannot see that nothing is padded or packed, and makes a mask of
    (B, 1, L, L), with which the faster kernels are out of reach. Other calls are as before. What is saved
    is the stock model.

    Args:
        model: one whose attention is plain causal attention in every layer.
    """
    model.set_attn_implementation(_NAME)
    model.register_forward_pre_hook(_say_that_nothing_is_masked, with_kwargs=True)


def _say_that_nothing_is_masked(
    _model: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    plain = all(
        named.get(key) is None for key in ("attention_mask", "position_ids", "past_key_values", "cache")
    )
    ids = arguments[0] if arguments else named.get("input_ids")
    if plain and len(arguments) < 2 and ids is not None:
        # transformers passes a mask of four dimensions on as it is; an empty one stands for none
        named = {**named, "attention_mask": torch.empty(1, 1, 0, 0, device=ids.device)}
    return arguments, named


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **named: Any
) -> tuple[Tensor, None]:
    """Transformers' function, with PyTorch's own causal mask where the mask is the empty one."""
    if attention_mask is not None and attention_mask.numel() == 0:
        return sdpa_attention_forward(module, query, key, value, None, is_causal=True, **named)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **named)


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)
