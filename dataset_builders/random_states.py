"""States of the generators of random numbers from which models and trainers draw."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class HostRandomState:
    """The present states of the global generators of Python and NumPy."""

    def __init__(self) -> None:
        self._python, self._numpy = random.getstate(), np.random.get_state()

    def restore(self) -> None:
        """Let both generators continue from these states."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)

    def is_current(self) -> bool:
        """Whether nothing was drawn from either generator since."""
        same = map(np.array_equal, np.random.get_state(), self._numpy)
        return random.getstate() == self._python and all(same)


@contextmanager
def preserved_random_states(device: torch.device) -> Iterator[None]:
    """After the block, the generators of PyTorch, Python and NumPy continue from where they were.

    Args:
        device: a device whose generator of PyTorch is restored, in addition to the CPU's.
    """
    import torch

    host = HostRandomState()
    devices = [device] if device.type not in ("cpu", "meta") else []
    try:
        with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
            yield
    finally:
        host.restore()
