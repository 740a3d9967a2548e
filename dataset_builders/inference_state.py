"""The state that a model hands to its next call, counted in bits.

Transformers' keys and values grow with the text that was read; recurrent and convolution states do not; with
a sliding window, they grow up to it. No model is known here by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dataset_builders.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_STATES = ("cache", "past_key_values", "cache_params", "state")
"""Where transformers' models return their state."""


def state_of(output: Any) -> Any:
    """The state in a model's output.

    Raises:
        InputError: there is none.
    """
    for name in _STATES:
        state = getattr(output, name, None)
        if state is not None:
            return state
    raise InputError(f"the model returns no state by any of the names {', '.join(_STATES)}")


def bits_of(state: Any) -> int:
    """Bits of all numbers with a fraction in a state; counters of positions are left out.

    Raises:
        InputError: there are none.
    """
    tensors = {id(tensor): tensor for tensor in _tensors(state, set())}
    bits = sum(t.numel() * t.element_size() * 8 for t in tensors.values() if t.is_floating_point())
    if not bits:
        raise InputError(f"the state, a {type(state).__name__}, holds no numbers")
    return bits


def _tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """All tensors within an object, its attributes, and containers among them."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
        return
    if id(value) in seen or isinstance(value, (str, bytes, type, torch.nn.Module)):
        return
    seen.add(id(value))
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, (list, tuple)):
        parts = list(value)
    else:
        parts = list(getattr(value, "__dict__", {}).values())
    for part in parts:
        yield from _tensors(part, seen)
