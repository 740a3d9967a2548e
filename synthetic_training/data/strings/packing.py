"""Training batches: examples packed into rows of a fixed number of tokens, as in arXiv 2402.01032.

A row of 16 tokens of the copy task, with the target of each token below it::

    input_ids     $ a b | a b . $ c d e | c d e .
    targets       - - - a b . - - - - - c d e . -      here - is -100
    position_ids  0 1 2 3 4 5 6 0 1 2 3 4 5 6 7 8

Targets are answers and the ``.`` after an example. An example that does not fit into the row is cut off, and
its answer is not trained on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.string_tasks import StringTask
from dataset_builders.string_tasks.sampling import examples_to_fill, longest_example
from dataset_builders.string_tasks.sequences import token_counts, tokens_at
from synthetic_training.data.strings.device_sampling import TRAIN, DeviceSampler, xp
from synthetic_training.data.strings.philox import check_seed

IGNORED = -100
"""The target of a token that is not predicted; ``torch.nn.functional.cross_entropy`` ignores it."""


@dataclass(frozen=True)
class Packed:
    """Rows of training tokens.

    Attributes:
        input_ids: (rows, context) int64.
        targets: (rows, context) int64, the next token if it has to be predicted, otherwise ``IGNORED``.
        position_ids: (rows, context) int64, each token's position in its example, from 0.
        examples: number of complete examples, a scalar int64 tensor.
        predicted: (rows, P) int64, the positions of all targets if every row has the same number of targets;
            otherwise None.
    """

    input_ids: Tensor
    targets: Tensor
    position_ids: Tensor
    examples: Tensor
    predicted: Tensor | None = None


class PackedBatches:
    """The batches of a training run; each depends only on its step, and is the same on every device.

    Args:
        task: task of the examples.
        context: number of tokens per row.
        rows: number of rows per batch, over all processes.
        seed: seed of the run, 0 to 2^64 - 1.
        device: device of the batches.

    Raises:
        InputError: a value is out of range, the context is too short for an example, or valid examples are
            too rare.
    """

    def __init__(
        self, task: StringTask, context: int, rows: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        check_context(task, context)
        check_integer("rows", rows, 1, 2**32)
        check_seed(seed)
        self.task, self.context, self.rows, self.seed = task, context, rows, seed
        self.device = torch.device(device)
        self._examples = examples_to_fill(task, context)
        self._sampler = DeviceSampler(task, self._examples, TRAIN, seed, self.device)
        self._numbers = torch.arange(rows, device=self.device)
        self._first_examples = self._numbers * self._examples

    def batch(self, step: int | Tensor, first_row: int = 0, rows: int | None = None) -> Packed:
        """Rows ``first_row`` to ``first_row + rows - 1`` of a step's batch.

        Processes can share a batch by taking different rows. Nothing waits for the device, so the method can
        be compiled and captured in a CUDA graph.

        Args:
            step: 0 to 2^32 - 1; an int, or a scalar int64 tensor on the device.
            first_row: index of the first row.
            rows: number of rows; None for all from ``first_row`` on.

        Raises:
            InputError: the rows or the step are out of range.
        """
        numbers = rows_from(self._numbers, first_row, rows)
        drawn = self._sampler.sample(numbers, step)
        counts = token_counts(drawn).view(len(numbers), self._examples)
        ends = counts.cumsum(1)
        positions = torch.arange(self.context, device=self.device).expand(len(numbers), -1).contiguous()
        which = torch.searchsorted(ends, positions, right=True).clamp(max=self._examples - 1)
        offset = positions - (ends - counts).gather(1, which)
        example = which + self._first_examples[: len(numbers), None]
        tokens, scored = tokens_at(self.task, drawn, xp, example, offset)
        whole = ends <= self.context
        kept = whole if drawn.valid is None else whole & drawn.valid.view_as(whole)
        scored = scored & kept.gather(1, which)
        return Packed(tokens, targets_of(tokens, scored), offset, whole.sum())

    def compile(self) -> Callable[..., Packed]:
        """``batch``, compiled."""
        return torch.compile(self.batch, fullgraph=True)


def rows_from(numbers: Tensor, first_row: int, rows: int | None) -> Tensor:
    """The indices of a range of a batch's rows.

    Args:
        numbers: (R,), indices of all rows of the batch.
        first_row: index of the first row.
        rows: number of rows; None for all from ``first_row`` on.

    Raises:
        InputError: the rows are out of range.
    """
    total = len(numbers)
    rows = total - first_row if rows is None else rows
    if first_row < 0 or rows < 1 or first_row + rows > total:
        raise InputError(
            f"a batch has rows 0 to {total - 1}, so {rows} rows from row {first_row} are out of range"
        )
    return numbers[first_row : first_row + rows]


def check_context(task: StringTask, context: int) -> None:
    """Raise ``InputError`` unless the longest example fits in the context."""
    check_integer("context", context, 1)
    longest = longest_example(task)
    if context < longest:
        raise InputError(
            f"context_length = {context} is too short: the longest example of {task.name} with strings of up "
            f"to {task.max_length} letters has {longest} tokens"
        )


def targets_of(tokens: Tensor, predicted: Tensor) -> Tensor:
    """The next token if it has to be predicted, otherwise ``IGNORED``; (R, P) int64."""
    return pad(tokens.masked_fill(~predicted, IGNORED)[:, 1:], (0, 1), value=IGNORED)
