"""Warns of models that lose their state while they generate, because transformers has renamed it."""

from typing import Any

from dataset_builders.inference_state import lost_state


def lost_state_warning(lm: Any) -> str | None:
    """The warning about a model that does not know the name under which transformers passes its state."""
    model = getattr(lm, "model", None)
    if not hasattr(model, "config") or not hasattr(model, "generate"):
        return None  # not a model of transformers
    if (fault := lost_state(model)) is None:
        return None
    return (
        f"the model {fault}, so its generated answers are wrong; install transformers<5.24, or run the "
        "forced tasks."
    )
