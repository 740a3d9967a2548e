"""Checks that a model fits into memory, before the memory is allocated.

Shipped models are first built on torch's meta device, whose tensors have no data. The user's own code may not
work there, or may keep such tensors. So it is built only once, on the CPU, and each of its operations is
tried on the meta device first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_buffer_registration_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from dataset_builders import InputError
from dataset_builders.checks import first_line
from synthetic_training.memory import check_bytes, total_memory

MAX_PARTS = 50_000
"""Maximum number of modules and tensors; counting this many takes seconds."""

_REHEARSAL_BYTES = 2**34
"""Size in bytes above which a user's model is built on the meta device too, so that it is refused in time."""

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
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.device("meta"))
        stack.enter_context(limit.active())
        try:
            build()
        except (RuntimeError, TypeError) as error:
            check_allocation(name, error)
            # the model needs values, which a meta tensor does not have; a real error recurs when it is built


@contextmanager
def size_checked(name: str, build: Callable[[], nn.Module], hint: str = "") -> Iterator[None]:
    """While the block builds a model, refuse tensors that do not fit into memory before they are allocated.

    Args:
        name: name of the model in error messages.
        build: function that builds the same model, for ``check_size`` if the model is very large.
        hint: further advice in the error message, after "reduce the sizes in --model-args".

    Raises:
        InputError: as ``check_size``.
    """

    def rehearse() -> None:
        try:
            check_size(name, build, hint)
        except InputError:
            raise
        except Exception:  # noqa: BLE001, S110  any error of code that cannot be built on the meta device
            pass

    try:
        with _LimitOfRealTensors(name, hint, rehearse).active():
            yield
    except MemoryError as error:  # raised by NumPy
        raise InputError(
            f"{name} needs more memory than is available: {first_line(error)}; {_ADVICE}"
        ) from error


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
        self._sizes: dict[tuple[int, str], int] = {}
        self._bytes = 0

    @contextmanager
    def active(self) -> Iterator[None]:
        """Check all operations and registrations in the block."""
        with ExitStack() as stack:
            for register in (
                register_module_parameter_registration_hook,
                register_module_buffer_registration_hook,
                register_module_module_registration_hook,
            ):
                stack.callback(register(self.count).remove)
            stack.enter_context(self)
            yield

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self._before(func, args, kwargs or {})
        result = func(*args, **(kwargs or {}))
        self._after(result)
        return result

    def _before(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Called before each operation."""

    def _after(self, result: Any) -> None:
        """Called with the result of each operation."""
        self._check_tensors(result)

    def count(self, owner: nn.Module, name: str, part: nn.Module | Tensor | None) -> None:
        """Count a module or tensor that was registered; another under the same name replaces it."""
        size = _allocated(part) if isinstance(part, Tensor) else 0
        self._bytes += size - self._sizes.get((id(owner), name), 0)
        self._sizes[id(owner), name] = size
        if len(self._sizes) > MAX_PARTS:
            raise InputError(
                f"{self._name} has more than {MAX_PARTS:,} layers and tensors; reduce the number of layers"
            )
        self._check(self._bytes, "")

    def _check_tensors(self, result: Any) -> None:
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._check(_stored(tensor), "a tensor of")

    def _check(self, size: int, what: str) -> None:
        if self._total is not None and size > self._total:
            check_bytes(size, _CPU, f"{what} {self._name}".strip(), _ADVICE + self._hint)


class _LimitOfRealTensors(_Limit):
    """Stops a model's construction before it allocates a tensor that is too large.

    Args:
        name: name of the model.
        hint: further advice.
        rehearse: function that builds the whole model on the meta device; called once if it is very large.
    """

    def __init__(self, name: str, hint: str, rehearse: Callable[[], None]) -> None:
        super().__init__(name, hint)
        self._rehearse: Callable[[], None] | None = rehearse
        self._paused = False
        self._large = _REHEARSAL_BYTES if self._total is None else min(_REHEARSAL_BYTES, self._total // 4)

    def _before(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if not self._paused:
            self._check_tensors(_on_meta(func, args, kwargs))

    def _after(self, result: Any) -> None:
        """The result was checked before it existed."""

    def count(self, owner: nn.Module, name: str, part: nn.Module | Tensor | None) -> None:
        """Count a module or tensor that was registered, but not those of the model on the meta device."""
        if not self._paused:
            super().count(owner, name, part)

    def _check(self, size: int, what: str) -> None:
        super()._check(size, what)
        if size > self._large and (rehearse := self._rehearse) is not None:
            self._rehearse, self._paused = None, True
            try:
                rehearse()
            finally:
                self._paused = False


def _on_meta(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The results of an operation as meta tensors.

    None if the operation is not on the CPU, or needs the values of its inputs.
    """
    try:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        device = kwargs.get("device")
        devices = {tensor.device for tensor in tensors} if device is None else {torch.device(device)}
        if not devices <= {_CPU}:
            return None
        moved, options = tree_map(_without_values, (args, dict(kwargs)))
        if device is not None or not tensors:
            options["device"] = torch.device("meta")
        options.pop("pin_memory", None)
        return func(*moved, **options)
    except Exception:  # noqa: BLE001  an invalid operation raises its own error when it runs
        return None


def _without_values(value: Any) -> Any:
    if isinstance(value, Tensor):
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device="meta")
    return None if isinstance(value, torch.Generator) else value


def _allocated(tensor: Tensor) -> int:
    """Size of a registered tensor in bytes. Expanded weights count in full, because they will be copied."""
    stored = _stored(tensor)
    if isinstance(tensor, nn.Parameter) and not is_lazy(tensor):
        return tensor.nbytes
    return min(stored, tensor.nbytes) if stored else 0


def _stored(tensor: Tensor) -> int:
    """Size of a tensor's storage in bytes; 0 if it has none, for example if it is sparse."""
    try:
        return tensor.untyped_storage().nbytes()
    except (NotImplementedError, RuntimeError, ValueError):
        return 0
