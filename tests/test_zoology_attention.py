"""Zoology's attention model for this trainer, compared with plain tensor operations."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from synthetic_training.models.registry import build_model

ATTENTION = "synthetic_training.speed.zoology_attention:ZoologyAttentionForCausalLM"


def test_the_attention_model_computes_what_zoology_describes() -> None:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 2, "max_position_embeddings": 12}
    model: Any = build_model(ATTENTION, {"vocab_size": 40}, **sizes).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    ids = torch.randint(40, (3, 12))

    def norm(x: Tensor, one: Any) -> Tensor:
        return F.layer_norm(x, (16,), one.weight, one.bias)

    x = model.embed.weight[ids] + model.positions.weight
    residual = torch.zeros_like(x)
    for layer in model.layers:
        residual = residual + x
        query, key, value = layer.qkv(norm(residual, layer.norm1)).chunk(3, -1)
        scores = query @ key.mT / 16**0.5 + torch.full((12, 12), -1e4).triu(1)
        residual = residual + layer.out(scores.softmax(-1) @ value)
        x = norm(residual, layer.norm2)  # the state mixer is the identity
    expected = norm(residual + x, model.lm_head.norm) @ model.embed.weight.T
    torch.testing.assert_close(model(input_ids=ids).logits, expected)

    # padding on the left changes nothing
    padded = torch.cat([torch.zeros_like(ids[:, :5]), ids[:, :7]], 1)
    mask = (torch.arange(12) >= 5).long().expand(3, -1)
    logits = model(input_ids=padded, attention_mask=mask).logits
    torch.testing.assert_close(logits[:, 5:], expected[:, :7])
    assert not torch.equal(model.train()(input_ids=ids).logits, expected)  # dropout


def test_the_attention_model_starts_like_zoologys() -> None:
    torch.manual_seed(0)
    model: Any = build_model(ATTENTION, {"vocab_size": 500}, hidden_size=64, max_position_embeddings=64)
    assert model.lm_head.weight is model.embed.weight
    for weight, std in (
        (model.embed.weight, 0.02),
        (model.positions.weight, 0.02),
        (model.layers[1].qkv.weight, 0.02),
        (model.layers[1].out.weight, 0.01),
    ):
        assert weight.std().item() == pytest.approx(std, rel=0.05)
    assert not model.layers[0].qkv.bias.any() and not model.layers[0].out.bias.any()
