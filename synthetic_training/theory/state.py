"""How many bits a model holds between two tokens: mem(S) of the paper, counted, not derived.

The model runs on ``length`` tokens, and the state that it hands to its next call is walked for numbers.
Transformers' keys and values grow with the length; recurrent and convolution states do not; with a sliding
window, they grow up to it. No model is known here by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dataset_builders import InputError
from dataset_builders.checks import check_integer, first_line

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

_STATES = ("past_key_values", "cache_params", "state")
"""Where transformers' models return their state."""


def state_bits(model: PreTrainedModel, length: int, dtype: torch.dtype | None = None) -> int:
    """Bits of a model's state after one text of ``length`` tokens.

    The model is made anew on PyTorch's ``meta`` device, which knows shapes alone, so that a large model at
    a large length takes no memory. What does not run there runs as it is, if in its own dtype.

    Args:
        model: any causal language model of transformers, or of this project.
        length: tokens read.
        dtype: of the computation; the model's own if not given. A model may hold a part of its state in
            another one.

    Raises:
        InputError: the model returns no state, or computes what ``meta`` cannot.
    """
    import torch

    check_integer("length", length, 1)
    try:
        with torch.device("meta"):
            shapes = type(model)(model.config).to(dtype or model.dtype).eval()
        return _count(shapes, length)
    except (NotImplementedError, RuntimeError) as error:
        if model.device.type == "meta" or dtype not in (None, model.dtype):
            raise InputError(
                f"{model.config.model_type} cannot run on the meta device: {first_line(error)}"
            ) from error
    # mixtures of experts look at their numbers to choose
    return _count(model, length)


def _count(model: PreTrainedModel, length: int) -> int:
    import torch

    tokens = torch.zeros(1, length, dtype=torch.int64, device=model.device)
    with torch.no_grad():
        return bits_of(state_of(model(input_ids=tokens, use_cache=True)))


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
