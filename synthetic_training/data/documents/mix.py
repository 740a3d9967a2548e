"""Training batches of documents, from a pool of rows that stays on the device.

The rows are generated once, before training. Each epoch shuffles the rows with its own seed, so that training
depends only on the seed, the mix and the number of rows in the pool.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from synthetic_training.data.documents.rows import FIRST, PREDICTED, TOKEN, Mix, make_rows
from synthetic_training.data.strings import Packed
from synthetic_training.data.strings.packing import rows_from, targets_of
from synthetic_training.data.strings.philox import Counter, check_seed

_PURPOSE = 2**31 + 1
"""Purpose of this module's random words in ``Counter``; string tasks use smaller numbers."""


class DocumentBatches:
    """The batches of a training run; each depends only on its step, and is the same on every device.

    Args:
        mix: the mix of documents in the rows; its seed is 0 to 2^64 - 1.
        batch_size: number of rows per step, over all processes.
        device: device of the pool, which takes two bytes per token, and of the batches.
        pool_rows: number of rows in the pool, a multiple of ``batch_size``. Each process generates all rows.
        progress: whether to show a progress bar while the rows are generated.

    Raises:
        InputError: a value is out of range.
    """

    def __init__(
        self,
        mix: Mix,
        batch_size: int,
        device: torch.device | str = "cpu",
        *,
        pool_rows: int,
        progress: bool = False,
    ) -> None:
        check_seed(mix.seed)
        check_pool(pool_rows, batch_size)
        self.mix, self.batch_size, self.pool_rows = mix, batch_size, pool_rows
        self.device = torch.device(device)
        pool = make_rows(mix, pool_rows, progress=progress)
        self._codes = torch.from_numpy(pool.codes).to(self.device)
        self._whole = torch.from_numpy(pool.whole).to(self.device)
        self._numbers = torch.arange(batch_size, device=self.device)
        self._places = torch.arange(mix.context_length, device=self.device)
        self._blocks = torch.arange(-(-pool_rows // 4), device=self.device)
        self._first_row = torch.zeros(1, dtype=torch.int64, device=self.device)

    def batch(self, step: int | Tensor, first_row: int = 0, rows: int | None = None) -> Packed:
        """Rows ``first_row`` to ``first_row + rows - 1`` of the batch of one step.

        The format is the same as in ``PackedBatches.batch``; ``examples`` counts the documents that end
        within their row, and ``position_ids`` restart at each document.

        Raises:
            InputError: the rows or the step are out of range.
        """
        numbers = rows_from(self._numbers, first_row, rows)
        if not isinstance(step, Tensor):
            check_integer("step", step, 0, 2**32 - 1)
        steps = self.pool_rows // self.batch_size
        index = (step % steps) * self.batch_size + numbers
        chosen = self.order(step // steps)[index]
        codes = self._codes[chosen].long()
        tokens, first = codes & TOKEN, (codes & FIRST) > 0
        begin = torch.where(first, self._places, 0).cummax(1).values
        targets = targets_of(tokens, (codes & PREDICTED) > 0)
        return Packed(tokens, targets, self._places - begin, self._whole[chosen].sum())

    def compile(self) -> Callable[..., Packed]:
        """``batch``, compiled."""
        return torch.compile(self.batch, fullgraph=True)

    def order(self, epoch: int | Tensor) -> Tensor:
        """The order in which an epoch, numbered from 0, takes the rows of the pool, (pool_rows,) int64."""
        words = Counter(self.mix.seed, _PURPOSE, self._first_row, epoch).words(self._blocks)[0]
        return words[: self.pool_rows].argsort(stable=True)


def check_pool(pool_rows: int, batch_size: int) -> None:
    """Raise InputError unless an epoch is a whole number of batches."""
    check_integer("batch_size", batch_size, 1, 2**32)
    check_integer("pool_rows", pool_rows, 1, 2**32)
    if pool_rows % batch_size:
        raise InputError(
            f"pool_rows = {pool_rows} must be a multiple of batch_size = {batch_size}, "
            f"such as {-(-pool_rows // batch_size) * batch_size}"
        )
