"""Checks of a user's own model: the arguments and output of its forward method, and causality."""

import inspect

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dataset_builders import InputError
from synthetic_training.models.bare_module import BareModuleForCausalLM


@torch.no_grad()
def check_causal(name: str, model: PreTrainedModel) -> None:
    """Check that a model is causal: its logits must not depend on later tokens.

    A model that sees the answers learns nothing, but has a high forced accuracy.

    Raises:
        InputError: the model is not causal, does not return logits of the shape (batch, length, vocabulary),
            or does not accept the arguments with which it is evaluated.
    """
    parameters = inspect.signature(model.forward).parameters
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        missing = [one for one in ("input_ids", "attention_mask", "use_cache") if one not in parameters]
        if missing:
            raise InputError(f"the forward method of {name} must take the arguments {', '.join(missing)}")
    vocabulary, was_training = model.config.vocab_size, model.training
    ids = torch.arange(16, device=model.device)[None] % vocabulary
    changed = torch.where(ids >= 8, (ids + 1) % vocabulary, ids)
    one, other = (_logits(name, model.eval(), given) for given in (ids, changed))
    model.train(was_training)
    if (one[:, :8] - other[:, :8]).abs().max() > 1e-3 * one.abs().max():
        raise InputError(f"{name} is not causal: its logits depend on later tokens")


def _logits(name: str, model: PreTrainedModel, ids: Tensor) -> Tensor:
    """The model's logits, of shape (batch, length, vocabulary).

    Raises:
        InputError: the model returns something else.
    """
    if isinstance(model, BareModuleForCausalLM):  # call the module itself: the wrapper expects logits
        output = logits = model.module(ids)
        wanted = "the logits alone, as a tensor"
    else:
        output = model(input_ids=ids, use_cache=False)
        logits, wanted = getattr(output, "logits", None), "an output whose logits are a tensor"
    if not isinstance(logits, Tensor):
        raise InputError(f"the forward method of {name} must return {wanted}, not a {type(output).__name__}")
    shape = (*ids.shape, model.config.vocab_size)
    if logits.shape != shape:
        raise InputError(f"{name} must map ids {(*ids.shape,)} to logits {shape}, not {(*logits.shape,)}")
    return logits
