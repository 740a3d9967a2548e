"""Each named model with two layers, and prompts of different lengths."""

from typing import Any

import torch
from torch import Tensor

from synthetic_training.data.symbol_tokenizer import encode, symbol_tokenizer
from synthetic_training.models.registry import build_model

TINY: dict[str, dict[str, Any]] = {
    "T_rope": {"num_attention_heads": 4},
    "T_nope": {"num_attention_heads": 4},
    "T_alibi": {"num_attention_heads": 4},
    "T_hard_alibi": {"num_attention_heads": 4, "num_masked_heads": 3},
    "mamba": {"state_size": 4},
    "lstm": {},
}
TRANSFORMERS = ("T_rope", "T_nope", "T_alibi", "T_hard_alibi")


def tiny(name: str, **overrides: Any) -> Any:
    """A random model of two layers, with scaled-up attention so that no two answers are nearly tied."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, **TINY[name]}
    model = build_model(name, **(sizes | overrides)).eval()
    if name in TRANSFORMERS:
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.mul_(8)
    return model


def letters(*shape: int) -> Tensor:
    return torch.randint(0, 26, shape, generator=torch.Generator().manual_seed(1))


PROMPTS = ("$a|", "$qwerty|", "$abcabcabcabc|", "$zz|")


def prompts() -> tuple[Tensor, Tensor]:
    """Four prompts of different lengths, padded on the left, and their mask."""
    batch = symbol_tokenizer(64)(list(PROMPTS), padding=True, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"]


def without_padding(model: Any, prompt: str, tokens: int) -> tuple[list[int], Tensor]:
    """Greedy tokens and their logits, each from one pass over all tokens before it."""
    ids, logits = encode(prompt), []
    for _ in range(tokens):
        logits.append(model(torch.tensor([ids]), use_cache=False).logits[0, -1])
        ids.append(int(logits[-1].argmax()))
    return ids[-tokens:], torch.stack(logits)
