"""The state that a model passes to its next call, and its size in bits.

A transformer's keys and values grow with the text that it has read; with a sliding window, only up to the
window's length. Recurrent and convolutional states do not grow. Nothing here depends on the names of models.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dataset_builders.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_STATES = ("cache", "past_key_values", "cache_params", "state")
"""Names under which models of transformers return their state."""


def state_of(output: Any) -> Any:
    """The state in a model's output.

    Raises:
        InputError: the output contains no state.
    """
    # the outputs of transformers from 5.24 on have the old names as properties that warn
    fields = getattr(output, "__dataclass_fields__", _STATES)
    for name in _STATES:
        state = getattr(output, name, None) if name in fields else None
        if state is not None:
            return state
    raise InputError(f"the model returns no state under any of the names {', '.join(_STATES)}")


def lost_state(model: PreTrainedModel) -> str | None:
    """Why a model loses its state in ``generate``, as a phrase about the model; None if it does not.

    From 5.24 on, transformers passes the state as ``cache``. A model that takes it under an older name, and
    accepts any other arguments, then generates each token from the one before alone, without an error.
    """
    from transformers import GenerationMixin

    names = set(inspect.signature(model.forward).parameters)
    prepare = getattr(type(model), "prepare_inputs_for_generation", None)
    if prepare not in (None, GenerationMixin.prepare_inputs_for_generation):
        names |= set(inspect.signature(prepare).parameters)
    old = sorted(names & {"past_key_values", "cache_params"})
    if not old or "cache" in names or not _passes_cache():
        return None
    return f"takes its state as {old[0]}, but this version of transformers passes it as cache"


def _passes_cache() -> bool:
    from transformers.modeling_outputs import CausalLMOutputWithPast

    return "cache" in CausalLMOutputWithPast.__dataclass_fields__


def bits_of(state: Any) -> int:
    """Size in bits of all real and complex tensors in a state; integers, which count positions, are left out.

    Raises:
        InputError: the state contains no such tensors.
    """
    bits = sum(tensor.numel() * tensor.element_size() * 8 for _, tensor in counted(state))
    if not bits:
        raise InputError(f"the state, a {type(state).__name__}, contains no floating-point numbers")
    return bits


def counted(state: Any) -> list[tuple[str, Tensor]]:
    """The real and complex tensors in a state, each once, with the names of their attributes."""
    tensors = {id(tensor): (name, tensor) for name, tensor in _tensors(state, "state", set())}
    return [
        (n, tensor) for n, tensor in tensors.values() if tensor.is_floating_point() or tensor.is_complex()
    ]


def _tensors(value: Any, name: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """All tensors in an object, its attributes and nested containers, with the name of the attribute."""
    import torch

    if isinstance(value, torch.Tensor):
        yield name, value
        return
    if id(value) in seen or isinstance(value, (str, bytes, type, torch.nn.Module)):
        return
    seen.add(id(value))
    parts: Iterable[tuple[str, Any]]
    if isinstance(value, Mapping):
        parts = [(name, part) for part in value.values()]
    elif isinstance(value, (list, tuple)):
        parts = [(name, part) for part in value]
    else:
        parts = list(getattr(value, "__dict__", {}).items())
    for own, part in parts:
        yield from _tensors(part, own, seen)
