"""Examples of string tasks, drawn by tensor operations on the model's device.

The code that draws the benchmark's documents also draws these examples, so that both have the same
distribution; the examples themselves differ. Nothing waits for the device. A document is redrawn until it is
valid; here, each example is drawn a fixed number of times, and the first valid draw is used.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import array_api_compat.torch
import numpy as np
import torch
from numpy.random import Philox
from torch import Tensor

from dataset_builders.string_tasks import Examples, RandomIntegers, StringTask
from dataset_builders.string_tasks.sampling import NumpyRandomIntegers, failures, too_rare
from synthetic_training.data.strings.philox import Counter, Word, uniform

TRAIN, EVALUATE = range(2)
"""Disjoint streams of random words, for training and for evaluation."""

_FAILURE = 1e-12
_MOST_TRIES = 256
_PROBED_LETTERS = 2**20


def _cumulative_sum(x: Tensor, *, axis: int) -> Tensor:
    return x.cumsum(axis)


# the compiler warns about a function that array_api_compat's own cumulative_sum calls
xp: Any = SimpleNamespace(**{**vars(array_api_compat.torch), "cumulative_sum": _cumulative_sum})


class PhiloxRandomIntegers:
    """Random integers for E examples in each of R rows; each example uses its own random words of the row.

    Args:
        counter: counter of the rows.
        blocks: (E, S) int64, indices of the blocks of four words that each example may use.
        words: ``Counter.words``, or a compiled version of it.
    """

    xp: Any = xp

    def __init__(
        self, counter: Counter, blocks: Tensor, words: Callable[[Counter, Tensor], Tensor] = Counter.words
    ) -> None:
        self._counter, self._blocks, self._words, self._used = counter, blocks, words, 0

    def integers(self, bound: Word, shape: tuple[int, ...] = ()) -> Tensor:
        """Random integers of shape (R * E, *shape), int64; see ``RandomIntegers.integers``."""
        count = math.prod(shape)
        blocks = self._blocks[:, self._used : self._used + _blocks_of(count)]
        self._used += _blocks_of(count)
        words = self._words(self._counter, blocks)[..., :count]
        return uniform(words.reshape(-1, *shape), bound)


class DeviceSampler:
    """Draws examples of a task, which depend on the row and step but not on earlier draws.

    Args:
        task: task of the examples.
        examples: E, number of examples per row.
        stream: ``TRAIN`` or ``EVALUATE``.
        seed: 0 to 2^64 - 1.
        device: device on which examples are drawn.

    Raises:
        InputError: valid examples are too rare.
    """

    def __init__(
        self, task: StringTask, examples: int, stream: int, seed: int, device: torch.device | str
    ) -> None:
        self.task, self.examples, self._seed = task, examples, seed
        self._tries = tries_needed(task)
        self._purpose = _purpose_of(task, stream)
        # one block for the length, then several for each try
        blocks = blocks_needed(lambda random: task.draw(random, np.full(1, task.max_length)))
        size = 1 + self._tries * blocks
        self._blocks = torch.arange(examples * size, device=device).view(examples, size)

    def sample(self, rows: Tensor, step: Word) -> Examples:
        """R * E examples, row by row; ``valid`` is None or (R * E,) bool.

        Fewer than one example in 10^12 is invalid, because all of its draws were invalid.

        Args:
            rows: (R,) int64, indices of rows, 0 to 2^32 - 1.
            step: 0 to 2^32 - 1; an int, or a scalar int64 tensor.
        """
        task, tries = self.task, self._tries
        counter = Counter(self._seed, self._purpose, rows, step)
        span = task.max_length - task.min_length + 1
        lengths = task.min_length + PhiloxRandomIntegers(counter, self._blocks[:, :1]).integers(span)
        blocks = self._blocks[:, 1:].reshape(self.examples * tries, -1)
        repeated = lengths[:, None].expand(-1, tries).reshape(-1)
        examples = task.draw(PhiloxRandomIntegers(counter, blocks), repeated)
        if examples.valid is None:
            return examples
        valid = examples.valid.view(-1, tries)
        failed = valid.cumsum(1).eq(0).sum(1)
        chosen = torch.arange(len(valid), device=valid.device) * tries + failed.clamp(max=tries - 1)
        return replace(_selected(examples, chosen), valid=failed < tries)


@lru_cache(maxsize=128)
def tries_needed(task: StringTask) -> int:
    """The number of draws per example for which fewer than one example in 10^12 stays invalid.

    The rate of valid draws is estimated at several lengths; the estimate is the same on every machine.

    Raises:
        InputError: valid draws are so rare that more than 256 tries would be needed.
    """
    shortest, longest = task.min_length, task.max_length
    lengths = sorted({shortest, round((shortest * longest) ** 0.5), longest})
    return max(_tries_at(replace(task, min_length=length, max_length=length)) for length in lengths)


def _tries_at(task: StringTask) -> int:
    """Tries for a task with a single length."""
    length = task.max_length
    count = max(256, _PROBED_LETTERS // length)
    failed = failures(task, length, count)
    if failed is None:
        return 1
    # a conservative estimate: the observed failures, plus three standard deviations and three failures
    failure = min(1.0, (failed + 3 * failed**0.5 + 3) / count)
    tries = 1
    while failure**tries > _FAILURE:
        tries += 1
        if tries > _MOST_TRIES:
            raise too_rare(task, count - failed, count)
    return tries


def _purpose_of(task: StringTask, stream: int) -> int:
    """The ``purpose`` of ``Counter`` for a task and a stream; streams differ in its upper two bits."""
    settings = "".join(f"/{name}_{value}" for name, value in task.settings.items())
    return purpose_of(
        f"{task.name}/{task.min_length}-{task.max_length}/vocabulary_{task.vocabulary}{settings}", stream
    )


def purpose_of(identity: str, stream: int) -> int:
    """The ``purpose`` of ``Counter`` for a stream and a text that identifies a task with its settings."""
    digest = hashlib.sha256(identity.encode()).digest()
    return stream << 30 | int.from_bytes(digest[:4], "big") >> 2


def blocks_needed(draw: Callable[[RandomIntegers], object]) -> int:
    """Number of blocks of four words that one example uses.

    Args:
        draw: function that draws the longest example.
    """
    counted = _CountedIntegers()
    draw(counted)
    return counted.blocks


class _CountedIntegers(NumpyRandomIntegers):
    """Counts the random numbers that an example uses."""

    def __init__(self) -> None:
        super().__init__(Philox(key=0), 1)
        self.blocks = 0

    def integers(self, bound: Any, shape: tuple[int, ...] = ()) -> Any:
        self.blocks += _blocks_of(math.prod(shape))
        return super().integers(bound, shape)


def _blocks_of(count: int) -> int:
    """Number of blocks of four words for this many words."""
    return -(-count // 4)


def _selected(examples: Examples, chosen: Tensor) -> Examples:
    """The examples with these indices."""
    parts = tuple(
        part if part == "|" else replace(part, letters=part.letters[chosen], lengths=part.lengths[chosen])
        for part in examples.parts
    )
    key = examples.key
    return Examples(parts, None if key is None else replace(key, letters=key.letters[chosen]))
