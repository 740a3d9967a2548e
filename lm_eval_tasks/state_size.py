"""How many bytes a model holds of a prompt, from a real cache object."""

from collections.abc import Mapping
from typing import Any

from dataset_builders import InputError
from dataset_builders.inference_state import bits_of
from lm_eval_tasks.local_model import local_model


def state_bytes(lm: Any, prompt: str) -> int | None:
    """Bytes of the state that a model holds after a prompt; None where it cannot be seen.

    Seen are decoders that run in this process (see :mod:`lm_eval_tasks.local_model`) and return their state.
    """
    model = local_model(lm)
    if model is None:
        return None
    try:
        return bits_of(model.state_after(model.tensor([lm.tok_encode(prompt)]))) // 8
    except InputError:
        return None


def before_query(prompt: str, doc: Mapping[str, Any]) -> str:
    """The part of a request's prompt before the document's query: its last line, or all from its key on."""
    text, key = str(doc["prompt"]), str(doc.get("key") or "\n")
    query = text[text.rfind(key) :].lstrip("\n")
    return prompt.rpartition(query)[0] or prompt
