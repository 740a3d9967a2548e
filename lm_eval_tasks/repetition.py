"""Detects settings with which a model avoids repetition, although a right answer repeats the prompt."""

from collections.abc import Mapping
from typing import Any

from lm_eval_tasks.local_model import is_hugging_face

_OFF = {
    "repetition_penalty": 1.0,
    "encoder_repetition_penalty": 1.0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
}
"""Settings of ``generation_config.json`` that count against repetition, and the values that disable them."""

_SERVER = (
    "a server may penalise repetition by default, which counts against copied answers: llama-cpp-python's "
    "does unless you pass --gen_kwargs repeat_penalty=1.0, and vLLM's does if the model's "
    "generation_config.json says so, unless you pass --gen_kwargs repetition_penalty=1.0; with either, this "
    "warning disappears."
)


def repetition_warning(lm: Any, options: Mapping[str, Any], from_server: bool) -> str | None:
    """The warning about a model that is set to avoid repetition, or may be; None if there is no reason.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        options: the run's generation settings.
        from_server: whether a server generates the answers, so that its settings are unknown.
    """
    if from_server:
        return None if any("penalty" in name for name in options) else _SERVER
    if not is_hugging_face(lm):
        return None
    settings = getattr(lm.model, "generation_config", None)
    found = {
        name: value
        for name, off in _OFF.items()
        if name not in options and (value := getattr(settings, name, None)) not in (None, off)
    }
    if not found:
        return None
    disabled = ",".join(f"{name}={_OFF[name]:g}" for name in found)
    return (
        f"the model's generation_config.json sets {' and '.join(f'{k}={v}' for k, v in found.items())}, "
        f"which counts against copied answers; pass --gen_kwargs {disabled} to disable it."
    )
