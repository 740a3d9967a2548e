"""Checks the size of a model before it is built, on torch's meta device, whose tensors have no data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dataset_builders import InputError
from dataset_builders.checks import first_line
from synthetic_training.memory import check_bytes, total_memory

MAX_PARTS = 50_000
"""Maximum number of modules and tensors; counting this many takes seconds."""

_CPU = torch.device("cpu")
_TOO_LARGE = ("overflow", "Overflow", "can't allocate memory")
"""Messages of torch for a tensor whose size overflows 64 bits, or that the system cannot allocate."""


def check_size(name: str, build: Callable[[], nn.Module], hint: str = "") -> None:
    """Check, without allocating memory, that a model that is about to be built fits into memory.

    Args:
        name: name of the model in error messages.
        build: function that builds it; its random draws do not change torch's random state.
        hint: further advice in the error message, after "reduce the sizes in --model-args".

    Raises:
        InputError: the weights or an intermediate tensor do not fit into memory, or there are too many
            modules and tensors. Other exceptions of ``build`` pass through.
    """
    limit = _Limit(name, hint)
    with ExitStack() as stack:
        for register in (
            register_module_parameter_registration_hook,
            register_module_buffer_registration_hook,
            register_module_module_registration_hook,
        ):
            stack.callback(register(limit.count).remove)
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.device("meta"))
        stack.enter_context(limit)
        try:
            build()
        except (RuntimeError, TypeError) as error:
            check_allocation(name, error)
            # the model needs values, which a meta tensor does not have; a real error recurs when it is built


def check_allocation(name: str, error: Exception) -> None:
    """Raise InputError if torch could not create a tensor of a model because of its size."""
    if any(reason in str(error) for reason in _TOO_LARGE):
        raise InputError(f"{name} has a tensor that is too large ({first_line(error)}); {_ADVICE}") from error


_ADVICE = "reduce the sizes in --model-args"


class _Limit(TorchDispatchMode):
    """Stops a model's construction once it is too large."""

    def __init__(self, name: str, hint: str) -> None:
        super().__init__()
        self._name, self._hint, self._total = name, hint, total_memory(_CPU)
        self._parts = self._bytes = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._check(tensor.untyped_storage().nbytes(), "a tensor of")
        return result

    def count(self, _owner: nn.Module, _name: str, part: nn.Module | Tensor | None) -> None:
        """Count a module or tensor that was registered."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InputError(
                f"{self._name} has more than {MAX_PARTS:,} layers and tensors; reduce the number of layers"
            )
        if isinstance(part, Tensor):
            self._bytes += part.nbytes
            self._check(self._bytes, "")

    def _check(self, size: int, what: str) -> None:
        if self._total is not None and size > self._total:
            check_bytes(size, _CPU, f"{what} {self._name}".strip(), _ADVICE + self._hint)
