"""Loads weights from files, and checks them."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import PreTrainedConfig, PreTrainedModel

from dataset_builders import InputError
from synthetic_training.models.construction import MISFITS

LOADING_ERRORS: tuple[type[Exception], ...] = (OSError, SafetensorError, *MISFITS)
"""Errors that ``from_pretrained`` raises for a folder without a usable model; see ``MISFITS``."""


def load_weights(
    model_class: type[PreTrainedModel], folder: Path, config: PreTrainedConfig | None = None
) -> PreTrainedModel:
    """A saved model in float32, after checking that its weights are complete and finite.

    Args:
        model_class: class of the model.
        folder: folder with ``config.json`` and ``model.safetensors``; pickled weights are not read.
        config: configuration to use instead of ``config.json``.

    Raises:
        InputError: weights are missing, unexpected, not finite or of another shape. Errors of
            ``from_pretrained`` pass through.
    """
    with _without_load_report():
        model, report = model_class.from_pretrained(
            folder,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # ``check_weights`` names them
        )
    check_weights(model, report, folder)
    loaded: PreTrainedModel = model.float()  # also weights for which the model's code has another precision
    return loaded


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Suppress transformers' table of mismatched weights, whose names come from an untrusted file."""
    log = logging.getLogger("transformers")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def check_weights(model: PreTrainedModel, report: Mapping[str, Any], folder: Path) -> None:
    """Check that a model was loaded completely, and that all of its weights are finite.

    Args:
        model: model returned by ``from_pretrained``.
        report: loading info returned by ``from_pretrained(..., output_loading_info=True)``.
        folder: folder from which it was loaded, for the error message.

    Raises:
        InputError: weights are missing, unexpected, not finite or of another shape.
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
