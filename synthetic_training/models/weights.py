"""Checks of weights that were read from files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from dataset_builders import InputError


def check_weights(model: PreTrainedModel, report: Mapping[str, Any], folder: Path) -> None:
    """Check that a model was loaded completely, and that all of its weights are finite.

    Args:
        model: model returned by ``from_pretrained``.
        report: loading info returned by ``from_pretrained(..., output_loading_info=True)``.
        folder: folder from which it was loaded, for the error message.

    Raises:
        InputError: weights are missing, unexpected or of another shape, or one is not finite.
    """
    for kind, what in (
        ("missing_keys", "lacks the weights"),
        ("unexpected_keys", "has weights that the model does not use:"),
        ("mismatched_keys", "has weights of another shape:"),
    ):
        names = sorted(str(key if isinstance(key, str) else key[0]) for key in report.get(kind, ()))
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InputError(f"{folder} {what} {', '.join(names[:3])}{more}; it cannot be used")
    for name, weight in model.named_parameters():
        if not bool(weight.isfinite().all()):
            raise InputError(f"{folder} cannot be used: its weight {name} has values that are not finite")
