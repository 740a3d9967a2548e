"""Seeds of all generators of random numbers."""

import random

import numpy as np
import torch

from dataset_builders.random_states import preserved_random_states
from synthetic_training.seeding import seed_everything


def draws() -> list[float]:
    return [torch.rand(()).item(), random.random(), np.random.rand()]


def test_draws_depend_on_the_seed() -> None:
    found = []
    for seed in (0, 1, 2**30, 2**32, 2**32 + 1, 2**61):
        seed_everything(seed)
        found.append(draws())
        seed_everything(seed)
        assert draws() == found[-1]
    torch_draws, *others = zip(*found, strict=True)
    assert len(set(torch_draws)) >= 3  # on a CPU, PyTorch reads only 32 bits of a seed
    assert all(len(set(column)) == len(found) for column in others)


def test_generators_continue_after_other_draws() -> None:
    seed_everything(5)
    with preserved_random_states(torch.device("cpu")):
        seed_everything(7)
        draws()
    found = draws()
    seed_everything(5)
    assert found == draws()
