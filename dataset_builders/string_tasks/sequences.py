"""Encodes examples as token sequences: the parts of each example joined, with special symbols around them.

An example of the copy task, in a batch in which the longest string has three letters::

    tokens   $ a b | a b . * *
    scored   - - - - x x x - -      x is a token to predict
    counts   7
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataset_builders.string_tasks.task import Array, Examples, StringTask, indices


@dataclass(frozen=True)
class Sequences:
    """B examples as tokens; W is the maximum number of tokens of an example of the task.

    Attributes:
        tokens: (B, W) int64, padded on the right.
        scored: (B, W) bool, the tokens to predict: answers, and the ``.`` that ends the example.
        counts: (B,) int64, number of tokens of each example.
        key: (B, n) int64, the key's letters; None if the task has no key.
        valid: (B,) bool, as in ``Examples``; None if all are valid.
    """

    tokens: Array
    scored: Array
    counts: Array
    key: Array | None
    valid: Array | None


def sequences(task: StringTask, examples: Examples, xp: Any) -> Sequences:
    """Encode examples as tokens.

    Args:
        task: task of the examples.
        examples: from ``task.draw``.
        xp: the array namespace of the examples.
    """
    counts = token_counts(examples)
    example = indices(xp, counts.shape[0], counts)[:, None]
    position = indices(xp, most_tokens(examples), counts)[None, :]
    tokens, scored = tokens_at(task, examples, xp, example, position)
    key = None if examples.key is None else examples.key.letters
    return Sequences(tokens, scored, counts, key, examples.valid)


def most_tokens(examples: Examples) -> int:
    """The maximum number of tokens of an example of the task."""
    return 2 + sum(1 if part == "|" else part.letters.shape[1] for part in examples.parts)


def token_counts(examples: Examples) -> Array:
    """The number of tokens of each example, (B,) int64."""
    return 2 + sum(1 if part == "|" else part.lengths for part in examples.parts)


def tokens_at(
    task: StringTask, examples: Examples, xp: Any, example: Array, position: Array
) -> tuple[Array, Array]:
    """The tokens at given positions of given examples; padding beyond an example's end.

    Args:
        task: task of the examples.
        examples: B examples.
        xp: their array namespace.
        example: int64, indices of examples.
        position: int64, positions in these examples, from 0; broadcasts against ``example``.

    Returns:
        The tokens (int64), and whether each is to be predicted (bool), of the broadcast shape.
    """
    symbols = task.symbols
    end = xp.zeros_like(example) + 1
    tokens = xp.where(position == 0, symbols.start_id, symbols.pad_id) + 0 * end
    scored = (position < 0) & (end > 0)
    for part in examples.parts:
        if part == "|":
            tokens = xp.where(position == end, symbols.bar_id, tokens)
            end = end + 1
            continue
        length = part.lengths[example]
        inside = (position >= end) & (position < end + length)
        source = xp.where(inside, position - end, 0)
        tokens = xp.where(inside, part.letters[example, source], tokens)
        if part.scored is True:
            scored = scored | inside
        elif part.scored is not False:
            scored = scored | (inside & part.scored[source])
        end = end + length
    tokens = xp.where(position == end, symbols.end_id, tokens)
    return tokens, scored | (position == end)
