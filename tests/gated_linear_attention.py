"""Gated linear attention as a user would write it: a bare module, and a PreTrainedModel.

Each head keeps a matrix S, and a gate a in (0, 1) forgets: S_t = a_t S_(t-1) + k_t v_t, and o_t = q_t S_t.
Shapes: B batch, L tokens, W width, H heads, D = W / H.
"""

import torch
from torch import nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.qkv, self.gate = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, heads)
        self.out = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x, mask):
        shape = (*x.shape[:2], self.heads, -1)
        h = self.norm(x)
        q, k, v = (part.view(shape).transpose(1, 2) for part in self.qkv(h).chunk(3, -1))  # B H L D
        decay = nn.functional.logsigmoid(self.gate(h) + 3).cumsum(1).transpose(1, 2)  # B H L
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        kept = (decay[..., :, None] - decay[..., None, :]).masked_fill(~causal, float("-inf")).exp()
        k = k * mask[:, None, :, None]  # padding leaves nothing in S
        read = ((q @ k.mT) * kept @ v).transpose(1, 2).reshape(x.shape)
        return x + self.out(read + h)


class GatedLinearAttention(nn.Module):
    """Ids (B, L) to logits (B, L, vocab_size)."""

    def __init__(self, vocab_size, hidden_size=32, num_hidden_layers=2, num_attention_heads=4):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, hidden_size)
        self.blocks = nn.ModuleList(Block(hidden_size, num_attention_heads) for _ in range(num_hidden_layers))
        self.head = nn.Linear(hidden_size, vocab_size, bias=False)

    def forward(self, ids, mask=None):
        x, mask = self.embed(ids), torch.ones_like(ids) if mask is None else mask
        for block in self.blocks:
            x = block(x, mask)
        return self.head(x)


class GatedLinearAttentionConfig(PreTrainedConfig):
    model_type = "gated_linear_attention"
    vocab_size: int = 30
    hidden_size: int = 32
    num_hidden_layers: int = 2
    num_attention_heads: int = 4


class GatedLinearAttentionForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = GatedLinearAttentionConfig

    def __init__(self, config):
        super().__init__(config)
        sizes = (config.vocab_size, config.hidden_size, config.num_hidden_layers, config.num_attention_heads)
        self.model = GatedLinearAttention(*sizes)
        self.post_init()

    def forward(self, input_ids, attention_mask=None, use_cache=None, return_dict=None):
        return CausalLMOutput(logits=self.model(input_ids, attention_mask))

    def prepare_inputs_for_generation(self, input_ids, attention_mask=None, **_):
        return {"input_ids": input_ids, "attention_mask": attention_mask}  # all tokens: there is no cache
