"""Draws examples with NumPy; the same bits give the same examples in every version of NumPy."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import array_api_compat.numpy as xp
import numpy as np
from numpy.random import BitGenerator, Philox
from numpy.typing import NDArray

from dataset_builders.errors import InputError
from dataset_builders.string_tasks.sequences import Sequences, sequences
from dataset_builders.string_tasks.task import StringTask

Ints = NDArray[np.int64]

_LEAST_RATE = 1 / 1000
"""Minimum fraction of drawn strings that must give a valid example."""


_UNFILLED = 1e-12
"""Maximum probability that the examples do not fill a row, which then ends with padding."""


class NumpyRandomIntegers:
    """Random integers for ``count`` examples; each integer uses one raw output of a bit generator.

    NumPy guarantees that the raw bits of a generator stay the same across versions, but not the results of
    its methods. Here, the upper 32 bits are multiplied by the bound and shifted, so that each probability is
    within 2^-32 of uniform.
    """

    xp: Any = xp

    def __init__(self, bits: BitGenerator, count: int) -> None:
        self._bits, self._count = bits, count

    def integers(self, bound: int | Ints, shape: tuple[int, ...] = ()) -> Ints:
        upper = self._bits.random_raw((self._count, *shape)) >> np.uint64(32)
        return ((upper * np.asarray(bound, dtype=np.uint64)) >> np.uint64(32)).astype(np.int64)


def sample(task: StringTask, count: int, bits: BitGenerator) -> Sequences:
    """Draw ``count`` examples.

    Lengths are uniform. For each length, the whole example is drawn again until it is valid.

    Raises:
        InputError: valid examples are too rare to sample.
    """
    lengths = _lengths(task, count, bits)
    pending, drawn = np.arange(count), 0
    found: Sequences | None = None
    while pending.size:
        accepted = count - pending.size
        if drawn >= 10 / _LEAST_RATE and accepted < drawn * _LEAST_RATE:
            raise too_rare(task, accepted, drawn)
        drawn += pending.size
        fresh = _draw(task, lengths[pending], bits)
        if fresh.valid is None:
            return fresh
        if found is None:
            found = fresh
        else:
            for old, new in zip(_arrays(found), _arrays(fresh), strict=True):
                old[pending] = new
        pending = pending[~fresh.valid]
    assert found is not None  # noqa: S101  a count is at least 1
    return replace(found, valid=None)


@lru_cache(maxsize=128)
def examples_to_fill(task: StringTask, tokens: int) -> int:
    """The number of examples that together have ``tokens`` tokens or more, except with probability 10^-12.

    The distribution of tokens per example is estimated from thousands of examples, the same on every machine.

    Raises:
        InputError: valid examples are too rare to sample.
    """
    counts = sample(task, max(256, 2**18 // task.max_length), Philox(key=0)).counts
    chances = np.bincount(np.minimum(counts, tokens)) / len(counts)
    chances = np.pad(chances, (0, tokens + 1 - len(chances)))
    # probability of each total number of tokens; the last entry collects all sufficient totals
    together, examples = np.zeros(tokens + 1), 0
    together[0] = 1.0
    while together[:-1].sum() > _UNFILLED:
        sums = np.convolve(together[:-1], chances)
        together = np.append(sums[:tokens], together[-1] + sums[tokens:].sum())
        examples += 1
    return examples


def longest_example(task: StringTask) -> int:
    """The maximum number of tokens of an example."""
    return int(_draw(task, np.full(1, task.max_length), Philox(key=0)).tokens.shape[1])


def failures(task: StringTask, length: int, count: int) -> int | None:
    """The number of invalid examples among ``count`` examples, each drawn once; None if all are always valid.

    Args:
        task: the task.
        length: length of the strings in letters.
        count: number of examples.
    """
    bits, failed = Philox(key=length), 0

    def valid(size: int) -> Any:
        # does not encode the examples, which would take most of the time
        return task.draw(NumpyRandomIntegers(bits, size), np.full(size, length)).valid

    if valid(1) is None:
        return None
    block = max(1, 2**18 // task.max_length)
    for first in range(0, count, block):
        size = min(block, count - first)
        failed += size - int(valid(size).sum())
    return failed


def too_rare(task: StringTask, accepted: int, drawn: int) -> InputError:
    """The error for a task for which too few drawn strings give a valid example."""
    lengths = (
        f"{task.min_length}"
        if task.min_length == task.max_length
        else f"{task.min_length} to {task.max_length}"
    )
    return InputError(f"{task.name}: of {drawn} strings of {lengths} letters, {accepted} {task.rare}")


def _lengths(task: StringTask, count: int, bits: BitGenerator) -> Ints:
    span = task.max_length - task.min_length + 1
    return task.min_length + NumpyRandomIntegers(bits, count).integers(span)


def _draw(task: StringTask, lengths: Ints, bits: BitGenerator) -> Sequences:
    return sequences(task, task.draw(NumpyRandomIntegers(bits, len(lengths)), lengths), xp)


def _arrays(one: Sequences) -> list[NDArray[Any]]:
    return [array for array in (one.tokens, one.scored, one.counts, one.key) if array is not None]
