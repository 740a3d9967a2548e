"""Training and evaluation batches of MQAR, sampled on the model's device: one example per row.

Unlike in the string tasks, a query's answer is not the next token of the row. For the example in
``dataset_builders.mqar.examples``, the targets are::

    input_ids  2 8 4 7 0 0 4 0 0 0 0 0 2 0 0 0
    targets    - - - - - - 7 - - - - - 8 - - -      here - is -100
    predicted  12 6
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import Tensor

from dataset_builders.checks import check_integer
from dataset_builders.mqar import Mqar, MqarExamples
from synthetic_training.data.strings.device_sampling import (
    TRAIN,
    PhiloxRandomIntegers,
    blocks_needed,
    purpose_of,
)
from synthetic_training.data.strings.packing import IGNORED, Packed, rows_from
from synthetic_training.data.strings.philox import Counter, Word, check_seed


class MqarSampler:
    """Draws examples of MQAR; each depends only on its row and step.

    Args:
        task: task of the examples.
        stream: ``TRAIN`` or ``EVALUATE`` of ``device_sampling``.
        seed: 0 to 2^64 - 1.
        device: device on which examples are drawn.

    Raises:
        InputError: the seed is out of range.
    """

    def __init__(self, task: Mqar, stream: int, seed: int, device: torch.device | str) -> None:
        check_seed(seed)
        self.task, self._seed = task, seed
        identity = "/".join(f"{name}_{value}" for name, value in asdict(task).items())
        self._purpose = purpose_of(f"mqar/{identity}", stream)
        self._blocks = torch.arange(blocks_needed(task.draw), device=device)[None]
        self._words: Callable[[Counter, Tensor], Tensor] = Counter.words

    def sample(self, rows: Tensor, step: Word) -> MqarExamples:
        """One example per row.

        Args:
            rows: (R,) int64, indices of rows, 0 to 2^32 - 1.
            step: 0 to 2^32 - 1; an int, or a scalar int64 tensor.
        """
        counter = Counter(self._seed, self._purpose, rows, step)
        return self.task.draw(PhiloxRandomIntegers(counter, self._blocks, self._words))

    def compile(self) -> None:
        """Compile only the computation of random words.

        Draws without replacement depend on each other. If they were compiled too, the compiler would
        recompute the words in each of their expressions, and compiling would take minutes.
        """
        self._words = torch.compile(Counter.words, fullgraph=True, dynamic=False)


_MOST_STORED_TOKENS = 2**28
"""Maximum number of tokens of a fixed training set that is stored, in at most 1.5 GiB; larger training sets
are drawn again in each step."""

_DRAWN_AT_ONCE = 4096
"""Number of examples of a fixed training set that are drawn at the same time."""


class MqarBatches:
    """The batches of a training run; each depends only on its step, and is the same on every device.

    A fixed training set is drawn once and stored on the device. If it is too large for that, its examples are
    drawn again whenever they are used.

    Args:
        task: task of the examples.
        rows: number of rows per batch, over all processes.
        seed: seed of the run, 0 to 2^64 - 1.
        device: device of the batches.
        fixed_examples: number of examples in a fixed training set, which is repeated in the same order; None
            for new examples in every step.

    Raises:
        InputError: a value is out of range.
    """

    def __init__(
        self,
        task: Mqar,
        rows: int,
        seed: int,
        device: torch.device | str = "cpu",
        fixed_examples: int | None = None,
    ) -> None:
        check_integer("rows", rows, 1, 2**32)
        if fixed_examples is not None:
            check_integer("fixed_examples", fixed_examples, 1, 2**32)
        self.task, self.rows, self.fixed_examples = task, rows, fixed_examples
        self._sampler = MqarSampler(task, TRAIN, seed, device)
        self._numbers = torch.arange(rows, device=device)
        self._positions = torch.arange(task.length, device=device)
        self._stored: MqarExamples | None = None
        if fixed_examples is not None and fixed_examples * task.length <= _MOST_STORED_TOKENS:
            self._stored = self._all_examples(fixed_examples, device)

    def _all_examples(self, count: int, device: torch.device | str) -> MqarExamples:
        """The fixed training set, as int32."""
        drawn = [
            self._sampler.sample(numbers, 0)
            for numbers in torch.arange(count, device=device).split(_DRAWN_AT_ONCE)
        ]
        tokens, queries, answers = (
            torch.cat([getattr(part, name).int() for part in drawn])
            for name in ("tokens", "queries", "answers")
        )
        return MqarExamples(tokens, queries, answers)

    def batch(self, step: int | Tensor, first_row: int = 0, rows: int | None = None) -> Packed:
        """Rows ``first_row`` to ``first_row + rows - 1`` of a step's batch; see ``PackedBatches.batch``.

        Raises:
            InputError: the rows or the step are out of range.
        """
        numbers = rows_from(self._numbers, first_row, rows)
        if self.fixed_examples is not None:
            numbers, step = (numbers + step * self.rows) % self.fixed_examples, 0
        drawn = (
            self._sampler.sample(numbers, step) if self._stored is None else _chosen(self._stored, numbers)
        )
        positions = self._positions.expand(len(numbers), -1)
        # the number of rows as a tensor, computed on the device: a constant would be copied there
        examples = torch.ones_like(numbers).sum()
        return Packed(drawn.tokens, targets_of(drawn), positions, examples, drawn.queries)

    def compile(self) -> Callable[..., Packed]:
        """``batch``, with compiled random words if examples are drawn in each step."""
        if self._stored is None:
            self._sampler.compile()
        return self.batch


def _chosen(examples: MqarExamples, numbers: Tensor) -> MqarExamples:
    """The examples with these indices, as int64."""
    parts = (examples.tokens, examples.queries, examples.answers)
    return MqarExamples(*(part.index_select(0, numbers).long() for part in parts))


def targets_of(drawn: MqarExamples) -> Tensor:
    """The answer at each query, otherwise ``IGNORED``; (B, L) int64."""
    return torch.full_like(drawn.tokens, IGNORED).scatter(1, drawn.queries, drawn.answers)
