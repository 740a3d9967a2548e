"""What a model carries from one step to the next besides its weights: buffers, attributes, random states.

A CUDA graph repeats what the device did while it was recorded, on the tensors of that time. It does not
repeat what Python did, such as assignments to attributes, changes of numbers, and draws on the CPU.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from dataset_builders.random_states import HostRandomState

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
"""Attributes of PyTorch's own, such as ``training``."""

_UNREADABLE = object()
"""Replaces a tensor that must not be read, so that any calculation with it raises an error."""


@dataclass
class _Attribute:
    """A buffer or another attribute of a module, with the content that it has when this object is created.

    Attributes:
        owner: the dictionary of the module that contains it.
        name: its key there.
        is_buffer: whether it is a buffer.
        device: the device of the model.
    """

    owner: dict[str, Any]
    name: str
    is_buffer: bool
    device: torch.device
    value: Any = field(init=False)
    leaves: list[Any] = field(init=False)
    structure: TreeSpec = field(init=False)
    numbers: tuple[TreeSpec, list[Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.value = self.owner[self.name]
        self.leaves, self.structure = _flatten(self.value)
        self.numbers = self.structure, [_number(leaf, self.device) for leaf in self.leaves]

    def replaced_since(self, before: "_Attribute") -> list[bool]:
        """For each leaf, whether it is another tensor than before."""
        pairs = zip(before.leaves, self.leaves, strict=True)
        return [old is not new and isinstance(old if new is None else new, Tensor) for old, new in pairs]

    def hide(self, which: Sequence[bool]) -> None:
        """Let calculations with these leaves fail. Lists and dictionaries, which may be shared, are kept."""
        leaves = [_UNREADABLE if hidden else leaf for hidden, leaf in zip(which, self.leaves, strict=True)]
        value = tree_unflatten(leaves, self.structure)
        match self.value:
            case list():
                self.value[:] = value
            case dict() if type(self.value) is dict:  # others, such as ModelOutput, may refuse an update
                self.value.update(value)
            case _:
                self.owner[self.name] = value


class StateBefore:
    """The state of a model that a forward pass may change, as it was before the pass.

    If the pass fails, the state is restored; if it succeeds, it is compared with the new one.

    Args:
        model: the model.
        device: the device that it is on.
    """

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        self._model, self._device = model, device
        self._attributes = _attributes(model, device)
        values = [one.value for one in self._attributes.values()]
        owners = [owner for module in model.modules() for owner in (vars(module), module._buffers)]
        self._dicts = [(one, dict(one)) for one in (*owners, *values) if type(one) is dict]
        self._lists = [(one, [*one]) for one in values if isinstance(one, list)]
        leaves = (leaf for one in self._attributes.values() for leaf in one.leaves)
        tensors = {id(leaf): leaf for leaf in leaves if isinstance(leaf, Tensor)}
        self._tensors = [(one, one.clone()) for one in tensors.values() if _may_change_in_place(one)]
        self._random, self._host = torch.get_rng_state(), HostRandomState()
        self._random_on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    @torch.no_grad()
    def restore(self) -> None:
        """Undo the changes."""
        for mapping, items in self._dicts:
            for key in mapping.keys() - items.keys():
                del mapping[key]
            changed = (key for key, item in items.items() if mapping.get(key, _UNREADABLE) is not item)
            mapping.update({key: items[key] for key in changed})
        for some, members in self._lists:
            some[:] = members
        for tensor, content in self._tensors:
            tensor.copy_(content)
        torch.set_rng_state(self._random)
        self._host.restore()
        if self._random_on_gpu is not None:
            torch.cuda.set_rng_state(self._random_on_gpu, self._device)

    def frozen_by_replays(self, forward: Callable[[], object]) -> str | None:
        """What a forward pass has done since then that replays would not repeat; None if nothing.

        An attribute that each forward pass sets to another tensor, such as an auxiliary loss, is harmless
        unless the next forward pass reads it before it sets it.

        Args:
            forward: function that runs another forward pass; what it changes is restored.
        """
        now, replaced = _attributes(self._model, self._device), {}
        for name in self._attributes | now:
            before, after = self._attributes.get(name), now.get(name)
            if before is None or after is None or before.numbers != after.numbers:
                advice = "make it a buffer that is changed in place, as with add_()"
                return f"changes the attribute {name!r}; {advice}"
            if any(after.replaced_since(before)):
                if after.is_buffer:
                    advice = "change it in place, as with copy_()"
                    return f"replaces the buffer {name!r} with another tensor; {advice}"
                replaced[name] = after
        if not self._host.is_current():
            return (
                "draws random numbers with Python or NumPy; draw them with torch, on the device of the model"
            )
        on_cpu = self._device.type != "cpu" and not torch.equal(torch.get_rng_state(), self._random)
        if on_cpu and not _never_drops_layers(self._model):
            return "draws random numbers on the CPU; draw them on the device of the model"
        if self._reads(replaced, forward):
            names = (name for name in replaced if self._reads({name: replaced[name]}, forward))
            name = next(names, next(iter(replaced)))
            advice = "make it a buffer that is changed in place, as with copy_()"
            return f"reads the tensor that the step before left in the attribute {name!r}; {advice}"
        return None

    def _reads(self, replaced: Mapping[str, _Attribute], forward: Callable[[], object]) -> bool:
        """Whether a forward pass needs the tensors in these attributes that were replaced."""
        return bool(replaced) and self._fails(replaced, forward) and not self._fails({}, forward)

    def _fails(self, replaced: Mapping[str, _Attribute], forward: Callable[[], object]) -> bool:
        """Whether a forward pass fails without these tensors."""
        after = StateBefore(self._model, self._device)
        try:
            for name, one in replaced.items():
                one.hide(one.replaced_since(self._attributes[name]))
            with torch.compiler.set_stance("force_eager"):
                forward()
        except Exception:  # noqa: BLE001  whatever the calculation that reads it raises
            return True
        finally:
            after.restore()
        return False


def _attributes(model: nn.Module, device: torch.device) -> dict[str, _Attribute]:
    """The buffers and other attributes of a model's modules, by their full names."""
    found = {}
    for path, module in model.named_modules():
        own = {name for name in vars(module) if name not in _OF_EVERY_MODULE}
        for owner, names in ((module._buffers, module._buffers), (vars(module), own)):
            for name in names:
                found[f"{path}.{name}".lstrip(".")] = _Attribute(
                    owner, name, owner is module._buffers, device
                )
    return found


def _may_change_in_place(tensor: Tensor) -> bool:
    # PyTorch refuses such changes of expanded tensors, and those that require a gradient are mere results
    if is_lazy(tensor) or tensor.is_nested:
        return False
    if tensor.requires_grad or tensor.is_inference() or tensor.layout != torch.strided:
        return False
    return all(stride or size < 2 for size, stride in zip(tensor.shape, tensor.stride(), strict=True))


def _number(leaf: Any, device: torch.device) -> Any:
    """What a leaf contributes to calculations on the CPU; None if nothing that can be compared."""
    match leaf:
        case Number() | str():
            return leaf
        case np.ndarray():
            return leaf.tobytes()
        case np.random.Generator():
            return str(leaf.bit_generator.state)
        case np.random.RandomState():
            return str(leaf.get_state(legacy=False))
        case random.Random() if not isinstance(leaf, random.SystemRandom):
            return leaf.getstate()
        case torch.Generator() if leaf.device.type == "cpu":
            return bytes(leaf.get_state().tolist())
        case Tensor() if leaf.device.type == "cpu" != device.type and not leaf.is_inference():
            return leaf._version
    return None


def _never_drops_layers(model: nn.Module) -> bool:
    """Whether its layers could be dropped at random, but are not: transformers then draws numbers in vain."""
    rates = [module.layerdrop for module in model.modules() if hasattr(module, "layerdrop")]
    return bool(rates) and not any(rates)


def module_tensors(model: nn.Module) -> list[Tensor]:
    """All tensors that are attributes of a model's modules, or in lists, tuples and dictionaries of them."""
    values = (value for module in model.modules() for value in vars(module).values())
    return [leaf for value in values for leaf in _flatten(value)[0] if isinstance(leaf, Tensor)]


def _flatten(value: Any) -> tuple[list[Any], TreeSpec]:
    """The leaves of nested containers and their structure; a container that contains itself is one leaf."""
    try:
        return tree_flatten(value)
    except RecursionError:
        return [value], tree_flatten(None)[1]
