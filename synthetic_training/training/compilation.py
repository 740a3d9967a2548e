"""A model compiled layer by layer: its repeated layers share one piece of compiled code."""

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import nn


class CompiledLayers:
    """Within a ``with`` block, the layers of a model run compiled; outside it, the model is as it was.

    Layers are the members of the outermost ``nn.ModuleList``s, as all models of transformers have them.

    Args:
        model: whose layers are compiled.
        backend: of ``torch.compile``.
    """

    def __init__(self, model: nn.Module, backend: str | Callable[..., Any] = "inductor") -> None:
        self._compiled: list[tuple[nn.Module, Any]] = [
            (layer, torch.compile(layer.forward, backend=backend)) for layer in _layers(model)
        ]

    def __enter__(self) -> None:
        for layer, forward in self._compiled:
            layer.forward = forward

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for layer, _ in self._compiled:
            del layer.forward


def _layers(module: nn.Module) -> list[nn.Module]:
    if isinstance(module, nn.ModuleList):
        return list(module)
    return [layer for child in module.children() for layer in _layers(child)]
