"""Evaluation batches: one example per row.

A row of the copy task, in the terms of ``packing``::

    input_ids       $ a b | a b . * *
    targets         - - - a b . - - -
    answers         0 0 0 1 1 0 0 0 0
    attention_mask  1 1 1 1 1 1 1 0 0
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dataset_builders.checks import check_integer
from dataset_builders.string_tasks import StringTask
from dataset_builders.string_tasks.sequences import sequences
from dataset_builders.string_tasks.symbols import END, Symbols
from synthetic_training.data.strings.device_sampling import EVALUATE, DeviceSampler, xp
from synthetic_training.data.strings.packing import IGNORED, targets_of


@dataclass(frozen=True)
class EvaluationBatch:
    """Examples, one per row; ``width`` is the number of tokens of the longest example.

    Attributes:
        input_ids: (count, width) int64, complete examples, padded on the right.
        attention_mask: (count, width) int64, 1 for an example's tokens and 0 for padding.
        targets: (count, width) int64, the next token if it has to be predicted, otherwise -100.
        answers: (count, width) bool, whether the target is part of an answer; false at an example's end.
        pad_id: padding token.
        end_id: token that ends an example.
    """

    input_ids: Tensor
    attention_mask: Tensor
    targets: Tensor
    answers: Tensor
    pad_id: int
    end_id: int

    @property
    def prompt_lengths(self) -> Tensor:
        """The number of tokens before the first answer of each example, (count,) int64."""
        return (self.targets != IGNORED).int().argmax(1) + 1

    def left_padded_prompts(self) -> tuple[Tensor, Tensor]:
        """The prompts alone, for generation: ``input_ids`` and ``attention_mask``, padded on the left.

        Both are (count, tokens of the longest prompt) int64. This waits for the device.
        """
        lengths = self.prompt_lengths
        width = int(lengths.max())
        position = torch.arange(width, device=self.input_ids.device) - (width - lengths)[:, None]
        tokens = self.input_ids.gather(1, position.clamp(min=0)).masked_fill(position < 0, self.pad_id)
        return tokens, (position >= 0).long()


def evaluation_batch(
    task: StringTask, count: int, seed: int, device: torch.device | str, first: int = 0
) -> EvaluationBatch:
    """Examples ``first`` to ``first + count - 1`` of a task, from another random stream than training.

    Example i depends only on the task, the seed and i.

    Args:
        task: task with a single length: minimum and maximum are equal.
        count: number of examples, at least 1.
        seed: 0 to 2^64 - 1.
        device: device on which examples are drawn.
        first: index of the first example.

    Raises:
        InputError: a value is out of range, or valid examples are too rare.
    """
    check_integer("count", count, 1)
    check_integer("first", first, 0, 2**32 - count)
    numbers = torch.arange(first, first + count, device=device)
    examples = DeviceSampler(task, 1, EVALUATE, seed, device).sample(numbers, 0)
    drawn, symbols = sequences(task, examples, xp), task.symbols
    scored = drawn.scored if drawn.valid is None else drawn.scored & drawn.valid[:, None]
    targets = targets_of(drawn.tokens, scored)
    return EvaluationBatch(
        input_ids=drawn.tokens,
        attention_mask=(drawn.tokens != symbols.pad_id).long(),
        targets=targets,
        answers=(targets != IGNORED) & (targets != symbols.end_id),
        pad_id=symbols.pad_id,
        end_id=symbols.end_id,
    )


def evaluation_batches(
    task: StringTask, numbers: range, size: int, seed: int, device: torch.device
) -> Iterator[EvaluationBatch]:
    """The examples with these indices, ``size`` at a time; see ``evaluation_batch``."""
    for first in numbers[::size]:
        yield evaluation_batch(task, min(size, numbers.stop - first), seed, device, first=first)


def batch_of_texts(
    documents: Sequence[tuple[str, str]], symbols: Symbols, device: torch.device
) -> EvaluationBatch:
    """A batch of prompts and answers in text form, such as ``$ab|`` and ``ab``.

    Raises:
        InputError: a symbol is not one of ``symbols``.
    """
    ids = [
        (symbols.encode(prompt), [*symbols.encode(answer), symbols.ids[END]]) for prompt, answer in documents
    ]
    return batch_of_answers(ids, symbols.pad_id, symbols.end_id, device)


def batch_of_answers(
    documents: Sequence[tuple[list[int], list[int]]], pad_id: int, end_id: int, device: torch.device
) -> EvaluationBatch:
    """A batch of prompts and answers as token ids; the last token of an answer ends it.

    Args:
        documents: prompts and answers, at least one.
        pad_id: padding token.
        end_id: token at which generation ends.
        device: device of the batch.
    """
    ids = [torch.tensor([*prompt, *answer]) for prompt, answer in documents]
    tokens = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad_id).to(device)
    prompts = torch.tensor([len(prompt) for prompt, _ in documents], device=device)[:, None]
    ends = torch.tensor([len(one) - 1 for one in ids], device=device)[:, None]
    position = torch.arange(tokens.shape[1], device=device)
    targets = targets_of(tokens, (position >= prompts) & (position <= ends))
    return EvaluationBatch(
        input_ids=tokens,
        attention_mask=(position <= ends).long(),
        targets=targets,
        answers=(targets != IGNORED) & (position + 1 < ends),
        pad_id=pad_id,
        end_id=end_id,
    )
