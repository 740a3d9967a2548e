"""How many bytes a model keeps of a prompt, measured on a real cache object."""

from collections.abc import Mapping
from typing import Any

from dataset_builders import InputError
from dataset_builders.inference_state import bits_of
from lm_eval_tasks.local_model import local_model


def state_bytes(lm: Any, prompt: str) -> int | None:
    """Size in bytes of a model's state after a prompt; None if it cannot be measured.

    It can be measured for decoders that run in this process (see :mod:`lm_eval_tasks.local_model`) and return
    their state.
    """
    model = local_model(lm)
    if model is None:
        return None
    try:
        return bits_of(model.state_after(model.tensor([lm.tok_encode(prompt)]))) // 8
    except InputError:
        return None


def before_query(prompt: str, doc: Mapping[str, Any]) -> str:
    """The part of a request's prompt before the query: before the last line, or before the key."""
    text, key = str(doc["prompt"]), str(doc.get("key") or "\n")
    query = text[text.rfind(key) :].lstrip("\n")
    return prompt.rpartition(query)[0] or prompt
