"""Zoology's attention model (arXiv 2312.04927) for this trainer, to compare the two trainers on one model.

Its name for ``--model`` is ``synthetic_training.speed.zoology_attention:ZoologyAttentionForCausalLM``. It is
the model of Zoology's ``iclr24_zoology_figure2``: layers of attention without MLPs, one head, learned
positions, tied embeddings, dropout, and the same distribution of initial weights. Attention is PyTorch's
fused function.

This file is copied into the folder of a saved model, so it imports only torch and transformers.

Shapes: B batch, L tokens, W width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

_STD = 0.02
"""Standard deviation of initial weights, except those that write to the residual stream."""


class ZoologyAttentionConfig(PreTrainedConfig):
    """Sizes and settings of the model.

    Attributes:
        hidden_size: width of the model and of its only head.
        num_hidden_layers: number of layers.
        max_position_embeddings: number of learned positions.
        embedding_dropout: fraction of the embeddings' values that is zeroed in training.
        attention_dropout: fraction of the attention weights that is zeroed in training.
    """

    model_type = "zoology_attention"

    vocab_size: int = 8192
    hidden_size: int = 128
    num_hidden_layers: int = 2
    max_position_embeddings: int = 64
    embedding_dropout: float = 0.1
    attention_dropout: float = 0.1
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True
    use_cache: bool = False


class _Layer(nn.Module):
    """Attention with a residual connection, followed by x + norm(x).

    In Zoology's layer, a state mixer that is the identity follows the second norm.
    """

    def __init__(self, config: ZoologyAttentionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.dropout = config.attention_dropout
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Maps (B, L, W) to the same shape; a true value in ``mask`` (B, 1, L, L) is a visible key."""
        query, key, value = self.qkv(self.norm1(x)).unsqueeze(1).chunk(3, -1)
        mixed = F.scaled_dot_product_attention(
            query, key, value, mask, self.dropout if self.training else 0.0, is_causal=mask is None
        )
        x = x + self.out(mixed.squeeze(1))
        return x + self.norm2(x)


class _Head(nn.Linear):
    """The last norm and the output layer as one module, so that only requested positions are normalised."""

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__(width, vocabulary, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, L, W) to logits (B, L, V)."""
        return super().forward(self.norm(x))


class ZoologyAttentionForCausalLM(PreTrainedModel, GenerationMixin):
    """Embeddings, layers of attention, and a tied output layer; there is no cache."""

    config_class = ZoologyAttentionConfig
    base_model_prefix = "model"
    _tied_weights_keys = {"lm_head.weight": "embed.weight"}  # noqa: RUF012  of the base class

    def __init__(self, config: ZoologyAttentionConfig) -> None:
        super().__init__(config)
        self.embed = nn.Embedding(config.vocab_size, config.hidden_size)
        self.positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.lm_head = _Head(config.hidden_size, config.vocab_size)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            adds = any(module is layer.out for layer in self.layers)
            std = _STD / (2 * self.config.num_hidden_layers) ** 0.5 if adds else _STD
            nn.init.normal_(module.weight, std=std)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embed

    def get_output_embeddings(self) -> nn.Linear:
        return self.lm_head

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,  # noqa: ARG002  there is none
        return_dict: bool | None = None,  # noqa: ARG002  always one
    ) -> CausalLMOutput:
        """Logits of the next token, (B, L, V), of ids (B, L); ``attention_mask`` (B, L) is 0 for padding."""
        length, mask = input_ids.shape[1], None
        if attention_mask is None:
            x = self.embed(input_ids) + self.positions.weight[:length]
        else:
            x = self.embed(input_ids) + self.positions((attention_mask.cumsum(1) - 1).clamp(min=0))
            causal = torch.ones(length, length, dtype=torch.bool, device=x.device).tril()
            # padding sees itself, so that no row of the softmax is empty
            own = torch.eye(length, dtype=torch.bool, device=x.device)
            mask = (causal & attention_mask.bool()[:, None, None, :]) | own
        x = F.dropout(x, self.config.embedding_dropout, self.training)
        for layer in self.layers:
            x = layer(x, mask)
        return CausalLMOutput(logits=self.lm_head(x))

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, **_unused: Any
    ) -> dict[str, Any]:
        """All tokens so far."""
        return {"input_ids": input_ids, "attention_mask": attention_mask}
