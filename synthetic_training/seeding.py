"""Seeds all random number generators that models use."""

import random

import numpy as np
import torch


def seed_everything(seed: int) -> None:
    """Seed PyTorch, and the generators of Python and NumPy, from which the code of some models draws."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed([seed % 2**32, (seed >> 32) % 2**32])  # NumPy takes numbers of 32 bits
