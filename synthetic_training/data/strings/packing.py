"""Training batches: examples packed into rows of a fixed number of tokens, as in arXiv 2402.01032.

A row of 16 tokens of the copy task; what is below a token is what the model is to predict there::

    input_ids     $ a b | a b . $ c d e | c d e .
    targets       - - - a b . - - - - - c d e . -      here - is -100
    position_ids  0 1 2 3 4 5 6 0 1 2 3 4 5 6 7 8

Answers and their final ``.`` are predicted. An example that does not end within the row is cut there and
not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.strings import LOOKUPS, Definition
from synthetic_training.data.strings.examples import (
    TRAIN,
    Examples,
    example_of,
    purpose_of,
    sample_on_device,
    tries_needed,
)
from synthetic_training.data.strings.philox import Counter, check_seed
from synthetic_training.data.tokens import BAR_ID, END_ID, PAD_ID, START_ID

IGNORED = -100
"""The target of a token that is not predicted; ``torch.nn.functional.cross_entropy`` leaves it out."""


@dataclass(frozen=True)
class Packed:
    """Rows of training tokens.

    Attributes:
        input_ids: (rows, context) int64.
        targets: (rows, context) int64, the token after each where it is to be predicted, else ``IGNORED``.
        position_ids: (rows, context) int64, each token's place in its example, from 0.
        examples: number of whole examples, an int64 tensor without dimensions.
    """

    input_ids: Tensor
    targets: Tensor
    position_ids: Tensor
    examples: Tensor


class PackedBatches:
    """The batches of a training run; step t's is the same whatever came before, on any device.

    Args:
        definition: copy, prefix_ngram or suffix_ngram, and its lengths.
        context: tokens a row.
        rows: rows of a whole batch, over all processes.
        seed: of the run, 0 to 2^64 - 1.
        device: where the batches are made.

    Raises:
        InputError: a value out of range, a context too short for an example, or strings with a place for
            the key are too rare.
    """

    def __init__(
        self, definition: Definition, context: int, rows: int, seed: int, device: torch.device | str = "cpu"
    ) -> None:
        check_context(definition, context)
        check_integer("rows", rows, 1, 2**32)
        check_seed(seed)
        self.definition, self.context, self.rows, self.seed = definition, context, rows, seed
        self.device = torch.device(device)
        self._tries = tries_needed(definition)
        self._purpose = purpose_of(definition, TRAIN)
        self._examples = -(-context // shortest_example(definition))
        self._width = _letters_within(definition, context)
        self._numbers = torch.arange(rows, device=self.device)
        # more than enough: a quarter of a word a letter, and of up to three an example, is what is needed
        self._blocks = torch.arange(self._tries * self._width + 4 * self._examples, device=self.device)

    def batch(self, step: int | Tensor, first_row: int = 0, rows: int | None = None) -> Packed:
        """Rows ``first_row`` to ``first_row + rows - 1`` of a step's batch.

        Processes that take different rows of a step have its whole batch between them. Nothing waits for
        the device, so that the method may be compiled and captured in a CUDA graph.

        Args:
            step: 0 to 2^32 - 1; or a tensor of it on the device, int64, without dimensions.
            first_row: the first of the rows.
            rows: how many; None for all from the first on.

        Raises:
            InputError: there are no such rows, or no such step.
        """
        numbers = rows_from(self._numbers, first_row, rows)
        counter = Counter(self.seed, self._purpose, numbers, step, self._blocks)
        drawn = sample_on_device(self.definition, self._examples, self._width, self._tries, counter)
        counts = token_counts(self.definition, drawn)
        ends = counts.cumsum(1)
        which = example_of(ends, self.context)
        offset = torch.arange(self.context, device=self.device) - (ends - counts).gather(1, which)
        tokens, asked = spell(self.definition, drawn, which, offset)
        whole = ends <= self.context
        return Packed(tokens, targets_of(tokens, asked & whole.gather(1, which)), offset, whole.sum())


def rows_from(numbers: Tensor, first_row: int, rows: int | None) -> Tensor:
    """The numbers of a batch's rows from one on.

    Args:
        numbers: (R,), of all its rows.
        first_row: the first of the rows.
        rows: how many; None for all from the first on.

    Raises:
        InputError: there are no such rows.
    """
    total = len(numbers)
    rows = total - first_row if rows is None else rows
    if first_row < 0 or rows < 1 or first_row + rows > total:
        raise InputError(f"a batch has rows 0 to {total - 1}; there are no {rows} from row {first_row} on")
    return numbers[first_row : first_row + rows]


def check_context(definition: Definition, context: int) -> None:
    """Refuse what cannot be packed.

    Raises:
        InputError: the task is for evaluation alone, or its longest example does not fit in the context.
    """
    check_integer("context", context, 1)
    if definition.name == "duplicate_ngram":
        raise InputError(
            "duplicate_ngram is for evaluation alone: train on copy, prefix_ngram or suffix_ngram"
        )
    longest = longest_example(definition)
    if context < longest:
        raise InputError(
            f"a context of {context} tokens is too short: the longest example of {definition.name} with "
            f"strings of up to {definition.max_length} letters has {longest} tokens"
        )


def shortest_example(definition: Definition) -> int:
    """Tokens of the shortest example there is."""
    answer = definition.k or (1 if definition.name in LOOKUPS else definition.min_length)
    return definition.min_length + answer + _other_tokens(definition)


def longest_example(definition: Definition) -> int:
    """Tokens of the longest example there is."""
    after_key = definition.max_length - (definition.n if definition.name in LOOKUPS else 0)
    return definition.max_length + (definition.k or after_key) + _other_tokens(definition)


def token_counts(definition: Definition, drawn: Examples) -> Tensor:
    """(R, E): tokens of each example."""
    return drawn.lengths + drawn.answer_end - drawn.answer_at + _other_tokens(definition)


def spell(definition: Definition, drawn: Examples, which: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
    """Examples as tokens.

    Args:
        definition: the task.
        drawn: R rows of E examples.
        which: (R, P), the example to which each token belongs.
        offset: (R, P), the token's place in its example.

    Returns:
        tokens: (R, P) int64; padding beyond the end of an example.
        asked: (R, P) bool, whether a token is an answer's letter or the ``.`` after it.
    """
    key = definition.n if definition.name in LOOKUPS else 0
    before, after = (key + 1, 0) if definition.name == "prefix_ngram" else (0, key)
    # the string's own letters have places 0 and on; what stands after it is a piece of the string again
    place = offset - 1 - before
    tail = place - drawn.lengths.gather(1, which) - 1
    piece = (drawn.answer_at - after).gather(1, which)
    end = (drawn.answer_end - drawn.answer_at + after).gather(1, which)
    source = torch.where(tail >= 0, piece + tail, place)
    if before:
        source = torch.where(place < 0, drawn.key_at.gather(1, which) + place + before, source)
    source = (drawn.starts.gather(1, which) + source).clamp(0, drawn.letters.shape[1] - 1)
    tokens = drawn.letters.gather(1, source)
    tokens = tokens.masked_fill((tail == -1) | ((place == -1) & (offset > 0)), BAR_ID)
    tokens = tokens.masked_fill(offset == 0, START_ID).masked_fill(tail == end, END_ID)
    return tokens.masked_fill(tail > end, PAD_ID), (tail >= after) & (tail <= end)


def targets_of(tokens: Tensor, predicted: Tensor) -> Tensor:
    """(R, P) int64: the token after each, where that one is to be predicted, else ``IGNORED``."""
    return pad(tokens.masked_fill(~predicted, IGNORED)[:, 1:], (0, 1), value=IGNORED)


def _other_tokens(definition: Definition) -> int:
    """Tokens of an example beside its string and its answer."""
    return 3 + {"prefix_ngram": definition.n + 1, "suffix_ngram": definition.n}.get(definition.name, 0)


def _letters_within(definition: Definition, context: int) -> int:
    """Letters at most of the strings of examples that begin within the context, the last one whole."""
    longest = definition.max_length
    # the longer its string, the larger is the string's share of an example
    tokens = shortest_example(replace(definition, min_length=longest))
    return context * longest // tokens + longest
