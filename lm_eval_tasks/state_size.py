"""Measures the bytes of state that a model keeps of a prompt, on a real cache object."""

from collections.abc import Mapping
from typing import Any

from dataset_builders import InputError
from dataset_builders.inference_state import bits_of
from lm_eval_tasks.local_model import local_model


def state_bytes(lm: Any, prompt: str) -> int | None:
    """Size in bytes of a model's state after a prompt; None for models that are not decoders in this process.

    See :mod:`lm_eval_tasks.local_model`.

    Raises:
        InputError: the model returns no cache, or a cache without floating-point numbers.
    """
    model = local_model(lm)
    if model is None:
        return None
    try:
        state = model.state_after(model.tensor([lm.tok_encode(prompt)]))
    except InputError:
        raise InputError("the model returns no cache") from None
    return bits_of(state) // 8


def before_query(prompt: str, doc: Mapping[str, Any]) -> str:
    """The part of a request's prompt before the query: before the last line, or before the key."""
    text, key = str(doc["prompt"]), str(doc.get("key") or "\n")
    query = text[text.rfind(key) :].lstrip("\n")
    return prompt.rpartition(query)[0] or prompt
