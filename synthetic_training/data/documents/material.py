"""Documents as what a run is trained on, and their evaluation: fresh phone books.

A model is asked as in lm-eval's ``phone_book``, of books that are none of the benchmark's; the answer is a
space, the ten digits and the end of the line::

    ... Helen Brown: 9038471625\\n\\nFrank Ortiz:{ 6120938475\\n}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel

from dataset_builders import phone_book
from synthetic_training.data.documents.mix import DocumentBatches, check_pool
from synthetic_training.data.documents.rows import Mix
from synthetic_training.data.documents.tokenizer import END_ID, VOCAB_SIZE, byte_tokenizer
from synthetic_training.data.strings import EvaluationBatch, batch_of_answers
from synthetic_training.evaluation.accuracy import (
    LengthScore,
    Share,
    forced_answers,
    length_score,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from synthetic_training.config import TrainConfig

EVAL_ENTRIES = (20,)
"""Entries of the books that are asked where the settings name no lengths."""

_EVALUATION = 2**40
"""Added to the run's seed, so that no benchmark of an everyday seed has these books."""

Book = tuple[bytes, bytes]
"""A prompt and its answer."""


class DocumentMaterial:
    """Documents of bytes; see ``documents.rows``.

    Args:
        config: of a run.

    Raises:
        InputError: an unknown kind or a value out of range, or a context too short for a kind.
    """

    def __init__(self, config: TrainConfig) -> None:
        Mix(config.mix, config.context, config.seed, config.rest)
        check_pool(config.pool_rows, config.batch_size)
        self._config = config
        self._books = {
            entries: list(_books(entries, config.eval_examples, config.seed + _EVALUATION))
            for entries in config.eval_lengths or EVAL_ENTRIES
        }

    @property
    def tokens(self) -> Mapping[str, int]:
        ids = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), END_ID)
        return {"vocab_size": VOCAB_SIZE, **ids}

    @property
    def longest(self) -> int:
        return max(self._config.context, *map(_width, self._books.values()))

    def tokenizer(self, window: int | None) -> PreTrainedTokenizerFast:
        return byte_tokenizer(window or self._config.context)

    def batches(self, device: torch.device, *, progress: bool) -> DocumentBatches:
        config = self._config
        return DocumentBatches(
            config.mix,
            config.context,
            config.batch_size,
            config.seed,
            device,
            pool_rows=config.pool_rows,
            rest=config.rest,
            progress=progress,
        )

    def evaluate(
        self, model: PreTrainedModel, *, batch_tokens: int, bf16: bool, share: Share
    ) -> list[LengthScore]:
        """Scores of the books of each number of entries; the space before a number is a letter of it."""
        scores = []
        for entries, books in self._books.items():
            first, end = (len(books) * i // share.processes for i in (share.process, share.process + 1))
            batches = _batches(books[first:end], max(1, batch_tokens // _width(books)), model.device)
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                scores.append(length_score(model, entries, batches, forced_answers, share))
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
