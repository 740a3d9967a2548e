"""Documents as training data, and the evaluation of models trained on them: fresh phone books.

The evaluation has the format of lm-eval's ``phone_book``, with books that are not in the benchmark. The
answer is a space, the ten digits and the newline::

    ... Helen Brown: 9038471625\\n\\nFrank Ortiz:{ 6120938475\\n}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel

from dataset_builders import phone_book
from dataset_builders.checks import check_integer
from synthetic_training.data.documents.byte_tokenizer import END_ID, VOCAB_SIZE, byte_tokenizer
from synthetic_training.data.documents.mix import DocumentBatches, check_pool
from synthetic_training.data.documents.rows import Mix
from synthetic_training.data.strings import EvaluationBatch, batch_of_answers
from synthetic_training.evaluation.accuracy import (
    LengthScore,
    Shard,
    forced_answers,
    length_score,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

EVAL_ENTRIES = (20,)
"""Numbers of entries of the evaluated phone books if the settings name none."""

_EVALUATION = 2**40
"""Offset of the run's seed, so that no benchmark with an ordinary seed contains these books."""

Book = tuple[bytes, bytes]
"""A prompt and its answer."""


@dataclass(frozen=True)
class DocumentData:
    """Documents of bytes; see ``documents.rows``.

    Attributes:
        mix: the mix of documents in the rows.
        batch_size: number of rows per step, over all processes.
        pool_rows: number of rows that are generated before training.
        eval_entries: numbers of entries of the evaluated phone books; empty for ``EVAL_ENTRIES``.
        eval_examples: number of books per size.

    Raises:
        InputError: ``pool_rows`` is not a multiple of ``batch_size``, or a book has too few entries.
    """

    mix: Mix
    batch_size: int
    pool_rows: int
    eval_entries: Sequence[int]
    eval_examples: int

    def __post_init__(self) -> None:
        check_pool(self.pool_rows, self.batch_size)
        for entries in self.eval_entries:
            check_integer("entries", entries, phone_book.MIN_ENTRIES, phone_book.MAX_ENTRIES)

    @cached_property
    def _books(self) -> dict[int, list[Book]]:
        seed = self.mix.seed + _EVALUATION
        return {
            entries: list(_books(entries, self.eval_examples, seed))
            for entries in self.eval_entries or EVAL_ENTRIES
        }

    @property
    def tokens(self) -> Mapping[str, int]:
        ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), END_ID)
        return {"vocab_size": VOCAB_SIZE, **ids}

    @property
    def longest_row(self) -> int:
        return max(self.mix.context_length, *map(_width, self._books.values()))

    def tokenizer(self, window: int | None) -> PreTrainedTokenizerFast:
        return byte_tokenizer(window or self.mix.context_length)

    def batches(self, device: torch.device, *, progress: bool) -> DocumentBatches:
        return DocumentBatches(self.mix, self.batch_size, device, pool_rows=self.pool_rows, progress=progress)

    def evaluate(
        self, model: PreTrainedModel, *, batch_tokens: int, bf16: bool, shard: Shard
    ) -> list[LengthScore]:
        """Scores for each number of entries; the space before a phone number counts as one of its letters."""
        scores = []
        for entries, books in self._books.items():
            first, end = (len(books) * i // shard.processes for i in (shard.process, shard.process + 1))
            batches = _batches(books[first:end], max(1, batch_tokens // _width(books)), model.device)
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                scores.append(length_score(model, entries, batches, forced_answers, shard))
        return scores


def _books(entries: int, count: int, seed: int) -> Iterator[Book]:
    for row in phone_book.rows(entries, count, seed):
        yield row["prompt"].encode(), f" {row['answer']}\n".encode()


def _width(books: Sequence[Book]) -> int:
    return max(len(prompt) + len(answer) for prompt, answer in books)


def _batches(books: Sequence[Book], size: int, device: torch.device) -> Iterator[EvaluationBatch]:
    left = iter(books)
    while batch := list(islice(left, size)):
        ids = [(list(prompt), list(answer)) for prompt, answer in batch]
        yield batch_of_answers(ids, END_ID, ord("\n"), device)
