"""Training batches of documents, from a pool of rows that stays on the device.

The rows are made once, before training. An epoch takes each of them once, in an order of its own, so that
what is learned depends on the seed, the mix and the number of rows in the pool alone.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from synthetic_training.data.documents.rows import FIRST, PREDICTED, TOKEN, Mix, make_rows
from synthetic_training.data.strings import Packed
from synthetic_training.data.strings.packing import rows_from, targets_of
from synthetic_training.data.strings.philox import Counter, check_seed

POOL_ROWS = 16_384

_PURPOSE = 2**31 + 1
"""Of the random words; those of strings have smaller numbers."""


class DocumentBatches:
    """The batches of a training run; step t's is the same whatever came before, on any device.

    Args:
        mix_weights: of each kind of document, as in ``rows.Mix``; empty for all kinds alike.
        context: tokens a row.
        rows: rows of a whole batch, over all processes.
        seed: of the run, 0 to 2^64 - 1.
        device: where the pool is kept, two bytes a token, and the batches are made.
        pool_rows: rows of the pool, a multiple of ``rows``. Each process makes all of them.
        rest: as in ``rows.Mix``.
        progress: whether to show a bar while the rows are made.

    Raises:
        InputError: a value out of range, an unknown kind, or a context too short for a kind.
    """

    def __init__(
        self,
        mix_weights: Mapping[str, float],
        context: int,
        rows: int,
        seed: int,
        device: torch.device | str = "cpu",
        *,
        pool_rows: int = POOL_ROWS,
        rest: float = 0.05,
        progress: bool = False,
    ) -> None:
        check_seed(seed)
        check_pool(pool_rows, rows)
        self.mix = Mix(dict(mix_weights), context, seed, rest)
        self.context, self.rows, self.seed, self.pool_rows = context, rows, seed, pool_rows
        self.device = torch.device(device)
        pool = make_rows(self.mix, pool_rows, progress=progress)
        self._codes = torch.from_numpy(pool.codes).to(self.device)
        self._whole = torch.from_numpy(pool.whole).to(self.device)
        self._numbers = torch.arange(rows, device=self.device)
        self._places = torch.arange(context, device=self.device)
        self._blocks = torch.arange(-(-pool_rows // 4), device=self.device)
        self._first_row = torch.zeros(1, dtype=torch.int64, device=self.device)

    def batch(self, step: int | Tensor, first_row: int = 0, rows: int | None = None) -> Packed:
        """Rows ``first_row`` to ``first_row + rows - 1`` of a step's batch.

        As ``sampling.PackedBatches.batch``; ``examples`` counts the documents that end within their row,
        and ``position_ids`` begin anew at each document.

        Raises:
            InputError: there are no such rows, or no such step.
        """
        numbers = rows_from(self._numbers, first_row, rows)
        if not isinstance(step, Tensor):
            check_integer("step", step, 0, 2**32 - 1)
        steps = self.pool_rows // self.rows
        place = (step % steps) * self.rows + numbers
        chosen = self.order(step // steps)[place]
        codes = self._codes[chosen].long()
        tokens, first = codes & TOKEN, (codes & FIRST) > 0
        begin = torch.where(first, self._places, 0).cummax(1).values
        targets = targets_of(tokens, (codes & PREDICTED) > 0)
        return Packed(tokens, targets, self._places - begin, self._whole[chosen].sum())

    def order(self, epoch: int | Tensor) -> Tensor:
        """(pool_rows,) int64: the numbers of the pool's rows in the order of an epoch, from 0."""
        words = Counter(self.seed, _PURPOSE, self._first_row, epoch).words(self._blocks)[0]
        return words[: self.pool_rows].argsort(stable=True)


def check_pool(pool_rows: int, rows: int) -> None:
    """Refuse a pool of which an epoch is no whole number of batches.

    Raises:
        InputError: it is one, or a number is out of range.
    """
    check_integer("rows", rows, 1, 2**32)
    check_integer("pool_rows", pool_rows, 1, 2**32)
    if pool_rows % rows:
        raise InputError(f"pool_rows = {pool_rows} must be a multiple of the {rows} rows of a batch")
