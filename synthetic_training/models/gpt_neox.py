"""Causal attention without a mask tensor, for stock models in training."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

_NAME = "causal_sdpa"


def use_causal_attention(model: PreTrainedModel) -> None:
    """Let a model use PyTorch's causal attention kernels for calls without mask, position ids and cache.

    Under ``torch.compile``, transformers cannot see that nothing is padded or packed, and creates a mask of
    shape (B, 1, L, L), which rules out the faster kernels. Other calls are unchanged, and the saved model is
    the stock model.

    Args:
        model: a model with plain causal attention in every layer.
    """
    model.set_attn_implementation(_NAME)
    model.register_forward_pre_hook(_pass_empty_mask, with_kwargs=True)


def _pass_empty_mask(
    _model: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    plain = all(
        named.get(key) is None for key in ("attention_mask", "position_ids", "past_key_values", "cache")
    )
    ids = arguments[0] if arguments else named.get("input_ids")
    if plain and len(arguments) < 2 and ids is not None:
        # transformers passes a four-dimensional mask to attention unchanged; an empty one stands for no mask
        named = {**named, "attention_mask": torch.empty(1, 1, 0, 0, device=ids.device)}
    return arguments, named


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **named: Any
) -> tuple[Tensor, None]:
    """The attention function of transformers, with PyTorch's ``is_causal`` if the mask is empty."""
    if attention_mask is not None and attention_mask.numel() == 0:
        return sdpa_attention_forward(module, query, key, value, None, is_causal=True, **named)
    return sdpa_attention_forward(module, query, key, value, attention_mask, **named)


AttentionInterface.register(_NAME, _attention)
AttentionMaskInterface.register(_NAME, sdpa_mask)
