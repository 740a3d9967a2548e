"""Stateless random numbers: Philox 4x32-10, as tensor operations (Salmon et al., SC 2011).

A counter of four 32-bit words and a key of two words give four random words::

    counter   (block, purpose, row, step)     position in the run's random words
    key       (seed's low half, high half)    which run

So the words of every row and step can be computed directly, are the same on every device, and do not depend
on how processes share a batch. Nothing here waits for the device, so everything can be compiled and captured
in a CUDA graph.

32-bit words are stored in int64 tensors, because PyTorch has few operations on unsigned integers. The product
of two words wraps around in int64, but its upper and lower 32 bits are still correct.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from dataset_builders.checks import check_integer

Word: TypeAlias = Tensor | int

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(counter: tuple[Tensor, Word, Tensor, Word], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """The four random words of a counter and a key.

    Args:
        counter: four words from 0 to 2^32 - 1; tensors are int64 and broadcast.
        key: two words from 0 to 2^32 - 1.

    Returns:
        Four int64 tensors of the broadcast shape, with words from 0 to 2^32 - 1.
    """
    c0, c1, c2, c3 = counter
    for i in range(_ROUNDS):
        k0, k1 = ((word + i * step) & _MASK for word, step in zip(key, _KEY_STEPS, strict=True))
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        # c1 and c3 keep the upper bits of the products, which the next round masks
        c0, c1, c2, c3 = ((p1 >> 32) ^ c1 ^ k0) & _MASK, p1, ((p0 >> 32) ^ c3 ^ k1) & _MASK, p0
    return c0, p1 & _MASK, c2, p0 & _MASK


@dataclass(frozen=True)
class Counter:
    """The position of a batch in a run's random words.

    Attributes:
        seed: seed of the run, 0 to 2^64 - 1.
        purpose: 0 to 2^32 - 1; different purposes have independent words.
        rows: (R,) int64, each row's index in the whole batch, 0 to 2^32 - 1.
        step: step of the run, 0 to 2^32 - 1; an int, or a scalar int64 tensor.

    Raises:
        InputError: a seed or step is out of range.
    """

    seed: int
    purpose: int
    rows: Tensor
    step: Word

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not isinstance(self.step, Tensor):
            check_integer("step", self.step, 0, _MASK)

    def words(self, blocks: Tensor) -> Tensor:
        """The random words of each row in these blocks, (R, ..., 4 * S) int64, from 0 to 2^32 - 1.

        Args:
            blocks: (..., S) int64, indices of blocks of four words, 0 to 2^32 - 1. Compiled code must receive
                them as an argument: if it computed them, the compiler would treat them as 32-bit integers and
                refuse to multiply them by a word.
        """
        key = (self.seed & _MASK, self.seed >> 32)
        rows = self.rows.view(-1, *[1] * blocks.ndim)
        return torch.stack(philox((blocks, self.purpose, rows, self.step), key), dim=-1).flatten(-2)


def check_seed(seed: object) -> None:
    """Raise an ``InputError`` unless the seed is an integer from 0 to 2^64 - 1."""
    check_integer("seed", seed, 0, 2**64 - 1)


def uniform(words: Tensor, bound: Word) -> Tensor:
    """Integers from 0 to ``bound`` - 1 from random words; the bound is at most 2^31.

    Each word is multiplied by the bound and shifted, so that each probability is within 2^-32 of uniform.
    """
    return (words * bound) >> 32
