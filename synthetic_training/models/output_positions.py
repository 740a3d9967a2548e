"""Restricts a model's logits to a few positions.

If a row has few targets and the vocabulary is large, as in MQAR, a model would otherwise spend most of its
time on logits that are not used.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn


class OutputPositions:
    """Lets a model compute its logits only at given positions, until the end of a ``with`` block.

    The output layer receives only the hidden states at these positions. If a model's output layer is unknown,
    or is not called as a module, all logits are computed, and those at the positions are selected.

    Args:
        model: a causal language model with the interface of transformers.
    """

    def __init__(self, model: nn.Module) -> None:
        self._positions: Tensor | None = None
        layer = _output_layer(model)
        self._handle = None if layer is None else layer.register_forward_pre_hook(self._select)

    def logits(self, positions: Tensor, forward: Callable[[], Tensor]) -> Tensor:
        """The logits at these positions, (B, P, vocabulary).

        Args:
            positions: (B, P) int64, with P smaller than L.
            forward: function that calls the model on rows of shape (B, L) and returns its logits.
        """
        self._positions = positions
        try:
            logits = forward()
        finally:
            self._positions = None
        return logits if logits.shape[1] == positions.shape[1] else _at(logits, positions)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._handle is not None:
            self._handle.remove()

    def _select(self, _layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        if self._positions is None or not arguments or arguments[0].ndim != 3:
            return None
        return (_at(arguments[0], self._positions), *arguments[1:])


def _at(values: Tensor, positions: Tensor) -> Tensor:
    """The vectors of ``values`` (B, L, D) at ``positions`` (B, P), (B, P, D)."""
    return values.gather(1, positions[:, :, None].expand(-1, -1, values.shape[2]))


def _output_layer(model: nn.Module) -> nn.Module | None:
    if not callable(get := getattr(model, "get_output_embeddings", None)):
        return None
    try:
        layer = get()
    except NotImplementedError:  # raised by transformers if it finds no output layer
        return None
    return layer if isinstance(layer, nn.Module) else None
