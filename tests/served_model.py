"""The bundled transformer behind a server: its own greedy answers and log-probabilities, over HTTP.

For :class:`tests.completions_server.CompletionsServer`; the weights and the arithmetic are those of
``--model hf``.
"""

from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

CHECKPOINTS = Path(__file__).parent.parent / "synthetic_training" / "checkpoints"


@cache
def served_model() -> Any:
    return AutoModelForCausalLM.from_pretrained(CHECKPOINTS / "transformer", dtype=torch.float32).eval()


@cache
def served_tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(CHECKPOINTS / "transformer")


@torch.no_grad()
def write(prompt: str, tokens: int) -> str:
    """The greedy continuation, up to the end of the text."""
    tokenizer = served_tokenizer()
    ids = tokenizer(prompt, return_tensors="pt")
    out = served_model().generate(**ids, max_new_tokens=tokens, do_sample=False, pad_token_id=256)
    return tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


@torch.no_grad()
def prompt_logprobs(ids: list[int]) -> dict[str, Any]:
    """OpenAI's ``logprobs`` object: each token's, and the likeliest token's in its place."""
    logprobs = served_model()(torch.tensor([ids])).logits[0].log_softmax(-1)
    best = logprobs.max(-1).values.tolist()
    own = logprobs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].tolist()
    top = [{"best": value} for value in best]
    return {"token_logprobs": [None, *own, best[-1]], "top_logprobs": [None, *top]}
