"""Seeds and states of all generators of random numbers from which models draw."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed PyTorch, and the generators of Python and NumPy, from which the code of some models draws."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed([seed % 2**32, (seed >> 32) % 2**32])  # NumPy takes numbers of 32 bits


@contextmanager
def preserved_random_states(device: torch.device) -> Iterator[None]:
    """After the block, the generators of PyTorch, Python and NumPy continue from where they were.

    Args:
        device: a device whose generator of PyTorch is restored, in addition to the CPU's.
    """
    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
