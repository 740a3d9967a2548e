"""Rows of consecutive documents, each followed by the end-of-text token.

All documents of a row are complete except the last, which is cut at the end of the row. Unlike in
``data.strings.packing``, its answers before the cut are trained on, because the row contains everything that
they depend on. Every second row begins with a document of at least half the row, so that long documents are
common and complete. Other documents have log-uniform sizes, so that short documents are common too.

This module does not import torch, so that worker processes start quickly.
"""

import multiprocessing
import os
import signal
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate
from random import Random

import numpy as np
from numpy.typing import NDArray

from dataset_builders import InputError
from dataset_builders.checks import check_integer, did_you_mean
from synthetic_training.data.documents.byte_tokenizer import END_ID
from synthetic_training.data.documents.draws import below, log_uniform
from synthetic_training.data.documents.kinds import KINDS, document

TOKEN = 0x1FF
"""Bits of a stored number that contain the token."""
PREDICTED = 1 << 9
"""Bit that marks a token to predict."""
FIRST = 1 << 10
"""Bit that marks the first token of a document."""

TOKEN_BYTES = 2
"""Bytes of memory per stored token."""

_CHUNK = 128
_FEWEST_FOR_PROCESSES = 4 * _CHUNK


@dataclass(frozen=True)
class Mix:
    """The mix of documents in rows; a row depends only on the mix and on its index.

    Attributes:
        weights: sampling weight of each kind in ``KINDS``, roughly proportional to its fraction of the
            tokens; missing kinds have the weight 0. If empty, all kinds have equal weights.
        context_length: number of tokens per row.
        seed: seed of the documents, at least 0.
        context_loss_weight: fraction of non-answer tokens that also contribute to the loss, from 0 to 1.

    Raises:
        InputError: a kind is unknown, a value is out of range, or the context is too short for a kind.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    context_length: int = 4096
    seed: int = 0
    context_loss_weight: float = 0.05

    def __post_init__(self) -> None:
        for kind, weight in self.weights.items():
            if kind not in KINDS:
                raise _unknown_kind(kind)
            if not 0 <= weight < float("inf"):
                raise InputError(f"the weight of {kind} in the mix must be at least 0, not {weight}")
        if self.weights and not any(self.weights.values()):
            raise InputError("all weights of the mix are 0; set the weight of at least one kind above 0")
        if not 0 <= self.context_loss_weight <= 1:
            raise InputError(f"context_loss_weight must be from 0 to 1, not {self.context_loss_weight}")
        check_integer("context_length", self.context_length, 1)
        check_integer("seed", self.seed, 0)
        for kind in self.kinds:
            if KINDS[kind].least_bytes > self.context_length:
                raise InputError(
                    f"context_length = {self.context_length} is too short: documents of the kind {kind} need "
                    f"{KINDS[kind].least_bytes} tokens"
                )

    @property
    def kinds(self) -> dict[str, float]:
        """The kinds with a weight above 0, in the order of ``KINDS``."""
        return {k: w for k in KINDS if (w := self.weights.get(k, 0.0) if self.weights else 1.0) > 0}


@dataclass(frozen=True)
class RowPool:
    """Rows in their stored form.

    Attributes:
        codes: (rows, context) int16, each a token combined with the bits ``PREDICTED`` and ``FIRST``.
        whole: (rows,) int64, number of complete documents in each row.
    """

    codes: NDArray[np.int16]
    whole: NDArray[np.int64]


def make_rows(mix: Mix, count: int, *, progress: bool = False) -> RowPool:
    """Generate rows 0 to ``count`` - 1; if they are many, in several processes, one per CPU.

    A script that generates many rows must be importable, as for every use of ``multiprocessing``.

    Args:
        mix: the mix of documents in the rows.
        count: number of rows, at least 1.
        progress: whether to show a progress bar.
    """
    from tqdm import tqdm

    codes = np.empty((count, mix.context_length), dtype=np.int16)
    whole = np.empty(count, dtype=np.int64)
    with tqdm(total=count, disable=not progress, unit="row", desc="writing documents") as bar:
        for first, made in _chunks(mix, count):
            end = first + len(made.whole)
            codes[first:end], whole[first:end] = made.codes, made.whole
            bar.update(len(made.whole))
    return RowPool(codes, whole)


def row(mix: Mix, number: int) -> tuple[NDArray[np.int16], int]:
    """The codes of one row, as in ``RowPool``, and the number of complete documents in it."""
    rng = Random(f"synthetic_training/row/seed_{mix.seed}/{number}")
    kinds, bounds = list(mix.kinds), list(accumulate(mix.kinds.values()))
    text, flags = bytearray(), bytearray()
    ends: list[int] = []
    long = rng.random() < 0.5
    while len(text) < mix.context_length:
        kind = kinds[bisect_right(bounds, rng.random() * bounds[-1], hi=len(bounds) - 1)]
        size = _size(rng, KINDS[kind].least_bytes, mix.context_length - len(text), long and not text)
        for piece, is_answer in document(kind, mix.seed, number * mix.context_length + len(text), size):
            encoded = piece.encode()
            text += encoded
            flags += (b"\1" if is_answer else b"\0") * len(encoded)
        ends.append(len(text))
        text += b"\0"
        flags += b"\0"
    chance = np.frombuffer(
        rng.getrandbits(16 * mix.context_length).to_bytes(2 * mix.context_length, "little"), "<u2"
    )
    predicted = np.frombuffer(flags, np.uint8)[: mix.context_length].astype(np.bool_)
    codes = np.frombuffer(text, np.uint8)[: mix.context_length].astype(np.int16)
    separators = [end for end in ends if end < mix.context_length]
    codes[separators] = END_ID
    codes[predicted | (chance < mix.context_loss_weight * 2**16)] |= PREDICTED
    codes[[0, *(end + 1 for end in separators if end + 1 < mix.context_length)]] |= FIRST
    return codes, sum(end <= mix.context_length for end in ends)


def _size(rng: Random, least: int, room: int, long: bool) -> int:
    """Size in bytes of the next document; ``least`` if not even the smallest document fits."""
    if room <= least:
        return least
    if long:
        return max(least, room // 2 + below(rng, room - room // 2 + 1))
    return log_uniform(rng, least, room)


def _chunks(mix: Mix, count: int) -> Iterator[tuple[int, RowPool]]:
    parts = [range(first, min(first + _CHUNK, count)) for first in range(0, count, _CHUNK)]
    workers = min(len(os.sched_getaffinity(0)), len(parts)) if hasattr(os, "sched_getaffinity") else 1
    if workers == 1 or count < _FEWEST_FOR_PROCESSES:
        yield from ((part.start, _made(mix, part)) for part in parts)
        return
    # not forked: a child process of one that uses a GPU or threads may hang
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(workers, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        made = pool.map(_made, [mix] * len(parts), parts)
        yield from zip((part.start for part in parts), made, strict=True)


def _made(mix: Mix, numbers: range) -> RowPool:
    rows = [row(mix, number) for number in numbers]
    return RowPool(np.stack([codes for codes, _ in rows]), np.array([whole for _, whole in rows]))


def _unknown_kind(kind: str) -> InputError:
    return InputError(
        f"the mix has an unknown kind {kind!r}; the kinds are {', '.join(KINDS)}{did_you_mean(kind, KINDS)}"
    )
