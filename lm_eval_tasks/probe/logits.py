"""The logits of a model, however its ``forward`` returns them."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from dataset_builders import InputError

Forward = Callable[[nn.Module, Tensor], Any]
"""Runs a model on token ids of shape (rows, tokens), and returns logits, or an object that contains them."""

_HINT = (
    "pass forward=, a function of the model and token ids that returns logits, e.g. "
    "forward=lambda model, ids: model(ids, targets=ids)[0]"
)


def logits_of(model: nn.Module, ids: Tensor, last: int, largest: int, forward: Forward | None) -> Tensor:
    """The logits of at least the last positions.

    Args:
        model: the model.
        ids: token ids of shape (rows, tokens).
        last: number of positions at the end of each row whose logits are needed; models that can compute only
            these do so.
        largest: the largest token id whose logit is needed.
        forward: runs the model; by default, it is called with the token ids alone.

    Returns:
        Logits of shape (rows, positions, vocabulary). They are those of the last positions, of all
        positions, or of all positions after some of virtual tokens.

    Raises:
        InputError: the model cannot be called with token ids alone, or does not return such logits.
    """
    options = {} if forward else _options(model, ids, last)
    logits = _found(forward(model, ids) if forward else model(ids, **options))
    if logits is None:
        raise InputError(
            f"{type(model).__name__} returns no logits of shape (rows, tokens, vocabulary); {_HINT}"
        )
    if hasattr(logits, "full_tensor"):  # a DTensor
        logits = logits.full_tensor()
    rows, positions, vocabulary = logits.shape
    if rows != len(ids) or (positions < ids.shape[1] and positions != options.get("logits_to_keep")):
        raise InputError(
            f"{type(model).__name__} returns logits of shape {tuple(logits.shape)} for token ids of shape "
            f"{tuple(ids.shape)}, but those of each token are needed; {_HINT}"
        )
    if largest >= vocabulary:
        raise InputError(
            f"the documents contain the token {largest}, but {type(model).__name__} returns logits of only "
            f"{vocabulary} tokens; use the model's own tokenizer, or, if each process returns the logits of "
            "a part of the vocabulary, gather them in the model"
        )
    return logits


def _options(model: nn.Module, ids: Tensor, last: int) -> dict[str, Any]:
    """The options, if the model has them, to use no cache, and to compute only the last logits.

    Raises:
        InputError: the model cannot be called with token ids alone.
    """
    try:
        inspect.signature(type(model).forward).bind(model, ids)
    except TypeError as error:
        raise InputError(
            f"{type(model).__name__} cannot be called with token ids alone ({error}); {_HINT}"
        ) from None
    options = {"use_cache": False, "logits_to_keep": last}
    known = _parameters(model)
    return {name: value for name, value in options.items() if name in known}


def _parameters(model: nn.Module) -> set[str]:
    """Names of the parameters of ``forward``, and of those that a wrapper passes on to the module inside.

    Such wrappers are those of FSDP1, DeepSpeed and PEFT.
    """
    names: set[str] = set()
    while True:
        parameters = inspect.signature(type(model).forward).parameters
        names |= parameters.keys()
        kinds = {one.kind for one in parameters.values()}
        inner = getattr(model, "module", None) if inspect.Parameter.VAR_POSITIONAL in kinds else None
        if hasattr(model, "peft_config"):
            inner = getattr(model, "get_base_model", lambda: None)()
        if inspect.Parameter.VAR_KEYWORD not in kinds or not isinstance(inner, nn.Module):
            return names
        model = inner


def _found(output: Any) -> Tensor | None:
    """The logits in a model's output; in a tuple, the first tensor with three dimensions."""
    if isinstance(output, Mapping):
        output = output.get("logits")
    elif not isinstance(output, Tensor | tuple | list):
        output = getattr(output, "logits", None)
    candidates = output if isinstance(output, tuple | list) else [output]
    return next((one for one in candidates if isinstance(one, Tensor) and one.dim() == 3), None)
