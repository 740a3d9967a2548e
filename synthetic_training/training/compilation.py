"""Compiles a model layer by layer: repeated layers share their compiled code.

Compiling one layer takes seconds, while compiling a whole model takes a minute. Each layer's gradients are
also available as soon as its backward pass ends, so that processes can reduce them early.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Literal

import torch
from torch import nn

Compile = Literal["auto", "on", "off"]

_WORTHWHILE_STEPS = 1000
"""Number of steps after which compiled code has saved more time than its compilation took."""


def resolve_compile(choice: Compile, device: Literal["cpu", "cuda"], steps: int) -> Literal["on", "off"]:
    """Whether to compile; ``auto`` means on for runs on a GPU that are long enough to save time."""
    if choice == "auto":
        return "on" if device == "cuda" and steps >= _WORTHWHILE_STEPS else "off"
    return choice


class CompiledLayers:
    """Runs the layers of a model compiled within a ``with`` block; outside of it, the model is unchanged.

    Layers are the members of the outermost ``nn.ModuleList``s, which all models of transformers have.

    Args:
        model: model whose layers are compiled.
        backend: backend of ``torch.compile``.
    """

    def __init__(self, model: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
        self._compiled: list[tuple[nn.Module, Any]] = [
            (layer, torch.compile(layer.forward, backend=backend)) for layer in repeated_layers(model)
        ]
        self._limit: AbstractContextManager[Any] | None = None

    def __len__(self) -> int:
        return len(self._compiled)

    def __enter__(self) -> None:
        # dynamo treats layers of different kinds as variants of one function, and by default leaves all after
        # the eighth uncompiled
        limit = max(torch._dynamo.config.recompile_limit, 2 * len(self))
        self._limit = torch._dynamo.config.patch(recompile_limit=limit)
        self._limit.__enter__()
        for layer, forward in self._compiled:
            layer.forward = forward

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for layer, _ in self._compiled:
            del layer.forward
        assert self._limit is not None  # noqa: S101  entered
        self._limit.__exit__(kind, error, trace)


def repeated_layers(module: nn.Module) -> list[nn.Module]:
    """The members of the outermost ``nn.ModuleList``s, each once, even if it is used at several depths.

    A member that is itself only a container, such as an ``nn.ModuleDict``, is replaced by its parts.
    """
    parts = _called_parts if isinstance(module, nn.ModuleList) else repeated_layers
    return list(dict.fromkeys(layer for child in module.children() for layer in parts(child)))


def _called_parts(module: nn.Module) -> list[nn.Module]:
    if type(module).forward is not nn.Module.forward:
        return [module]
    return [part for child in module.children() for part in _called_parts(child)]
