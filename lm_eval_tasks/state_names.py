"""Detects models whose state is lost while they generate, because transformers has renamed it."""

from typing import Any

from dataset_builders.inference_state import lost_state_name


def lost_state_warning(lm: Any) -> str | None:
    """The warning about a model that transformers passes its state under a name that it does not know."""
    model = getattr(lm, "model", None)
    if not hasattr(model, "config") or not hasattr(model, "generate"):
        return None  # not a model of transformers
    if (name := lost_state_name(model)) is None:
        return None
    return (
        f"the model takes its state as {name}, but this version of transformers passes it as cache, so its "
        "generated answers are wrong; install transformers<5.24, or run the forced tasks."
    )
