"""Which of a probe's documents a model can read, and how well its tokenizer encodes them."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from torch import nn

from dataset_builders import InputError
from lm_eval_tasks.context_window import WINDOW_SETTINGS
from lm_eval_tasks.probe.encoding import EncodedDocument


def window_of(model: nn.Module) -> int | None:
    """The context window of a model in tokens; None if unlimited, as for recurrent models."""
    config = getattr(model, "config", None)
    config = getattr(config, "text_config", None) or config
    sizes = (getattr(config, name, None) for name in WINDOW_SETTINGS)
    return next((size for size in sizes if isinstance(size, int) and size > 0), None)


def fits(document: EncodedDocument, window: int | None) -> bool:
    """Whether a document fits a window of this many tokens."""
    return window is None or document.needed <= window


def task_warnings(name: str, documents: Sequence[EncodedDocument], window: int | None) -> list[str]:
    """One warning for each group of a task's documents that cannot be scored properly."""
    warnings = []
    cut = sum(not fits(one, window) for one in documents)
    if cut:
        warnings.append(
            f"{name}: {cut} of {len(documents)} documents do not fit the model's context window of {window} "
            "tokens; they are not evaluated and count as wrong"
        )
    misaligned = sum(not one.aligned for one in documents)
    if misaligned:
        warnings.append(
            f"{name}: in {misaligned} of {len(documents)} documents the scored tokens are not exactly those "
            "of the answer, because the tokenizer merges its start with the prompt, or ends each text with a "
            "special token"
        )
    unknown = sum(one.unknown for one in documents)
    if unknown:
        warnings.append(
            f"{name}: the tokenizer does not know some characters of {unknown} of {len(documents)} "
            "documents, so its score says nothing about what the model can recall"
        )
    return warnings


def check_model(model: Any, documents: Sequence[EncodedDocument]) -> None:
    """Check that a model can read the documents as a causal model does.

    Raises:
        InputError: it is an encoder-decoder, or has too few embeddings.
    """
    if getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise InputError("the probe scores causal models, and this is an encoder-decoder model")
    largest = max(token for one in documents for candidate in one.candidates for token in candidate.tokens)
    embeddings = None
    with suppress(NotImplementedError):  # the model has no embeddings, or they have an unusual name
        embeddings = model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    size = getattr(embeddings, "num_embeddings", None)
    if isinstance(size, int) and largest >= size:
        raise InputError(
            f"the tokenizer returns the token {largest}, but the model has {size} embeddings; use the "
            "model's own tokenizer"
        )
