"""Evaluation rows: one example each, as a whole or as a prompt to go on from.

A row of the copy task, in the terms of ``packing``::

    input_ids       $ a b | a b . * *
    targets         - - - a b . - - -
    answer_letters  0 0 0 1 1 0 0 0 0
    attention_mask  1 1 1 1 1 1 1 0 0
    prompt_length   4, and answer_length 2
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dataset_builders.checks import check_integer
from dataset_builders.strings import Definition
from synthetic_training.data.strings.examples import EVALUATE, purpose_of, sample_on_device, tries_needed
from synthetic_training.data.strings.packing import longest_example, spell, targets_of, token_counts
from synthetic_training.data.strings.philox import Counter
from synthetic_training.data.tokens import END_ID, PAD_ID


@dataclass(frozen=True)
class Rows:
    """Examples, one a row; ``width`` tokens are those of the task's longest example. Places are from 0.

    Attributes:
        input_ids: (count, width) int64, whole examples, padded on the right.
        attention_mask: (count, width) int64, 1 for an example's tokens and 0 for padding.
        targets: (count, width) int64, the token after each where it is an answer's letter or the ``.``
            after the answer, else -100.
        answer_letters: (count, width) bool, where the target is a letter; accuracy counts these alone.
        prompt_length: (count,) int64, tokens before the answer.
        answer_length: (count,) int64, letters of the answer.
        key_at: (count,) int64, where the key begins in the string; -1 in copy.
        again_at: (count,) int64, where it stands again, in duplicate_ngram; -1 in other tasks.
    """

    input_ids: Tensor
    attention_mask: Tensor
    targets: Tensor
    answer_letters: Tensor
    prompt_length: Tensor
    answer_length: Tensor
    key_at: Tensor
    again_at: Tensor


def evaluation_rows(
    definition: Definition, count: int, seed: int, device: torch.device | str, first: int = 0
) -> Rows:
    """Examples ``first`` to ``first + count - 1`` of a task, none of them from the training stream.

    Example i depends on the definition, the seed and i alone.

    Args:
        definition: any task; for one length, it is both the least and the most.
        count: number of examples, at least 1.
        seed: 0 to 2^64 - 1.
        device: where the rows are made.
        first: number of the first example.

    Raises:
        InputError: a value out of range, or strings with a place for the key are too rare.
    """
    check_integer("count", count, 1)
    check_integer("first", first, 0, 2**32 - count)
    numbers = torch.arange(first, first + count, device=device)
    counter = Counter(seed, purpose_of(definition, EVALUATE), numbers, 0)
    drawn = sample_on_device(definition, 1, definition.max_length, tries_needed(definition), counter)
    offset = torch.arange(longest_example(definition), device=device).expand(count, -1)
    tokens, asked = spell(definition, drawn, torch.zeros_like(offset), offset)
    targets = targets_of(tokens, asked)
    answer = (drawn.answer_end - drawn.answer_at)[:, 0]
    return Rows(
        input_ids=tokens,
        attention_mask=(tokens != PAD_ID).long(),
        targets=targets,
        answer_letters=(targets >= 0) & (targets != END_ID),
        prompt_length=token_counts(definition, drawn)[:, 0] - answer - 1,
        answer_length=answer,
        key_at=drawn.key_at[:, 0],
        again_at=drawn.again_at[:, 0],
    )


def prompts_left_padded(rows: Rows) -> tuple[Tensor, Tensor]:
    """The prompts alone, for generation: ``input_ids`` and ``attention_mask``, padded on the left.

    Both are (count, tokens of the longest prompt) int64. This waits for the device.
    """
    width = int(rows.prompt_length.max())
    place = torch.arange(width, device=rows.input_ids.device) - (width - rows.prompt_length)[:, None]
    tokens = rows.input_ids.gather(1, place.clamp(min=0)).masked_fill(place < 0, PAD_ID)
    return tokens, (place >= 0).long()
