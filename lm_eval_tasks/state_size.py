"""How many bytes a model holds of a prompt, from a real cache object."""

import inspect
from collections.abc import Mapping
from typing import Any

from dataset_builders import InputError
from dataset_builders.inference_state import bits_of, state_of


def state_bytes(lm: Any, prompt: str) -> int | None:
    """Bytes of the state that a model of transformers holds after a prompt; None where it cannot be seen.

    Seen are lm-eval's ``hf`` models that are decoders and return a cache.
    """
    model = getattr(lm, "model", None)
    inner = getattr(model, "base_model", None)
    config = getattr(model, "config", None)
    if inner is None or config is None or getattr(config, "is_encoder_decoder", False):
        return None
    if "use_cache" not in inspect.signature(inner.forward).parameters:
        return None
    import torch

    tokens = torch.tensor([lm.tok_encode(prompt)], device=lm.device)
    precision = getattr(lm, "mixed_precision_dtype", None)
    with torch.no_grad(), torch.autocast(tokens.device.type, dtype=precision, enabled=precision is not None):
        output = inner(input_ids=tokens, use_cache=True)
    try:
        return bits_of(state_of(output)) // 8
    except InputError:
        return None


def before_query(prompt: str, doc: Mapping[str, Any]) -> str:
    """The part of a request's prompt before the last line of its document, which is the query."""
    query = str(doc["prompt"]).rpartition("\n")[2]
    return prompt.rpartition(query)[0] or prompt
