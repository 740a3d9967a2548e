"""Examples as sequences of tokens: parts put one after the other, with the marks around them.

An example of the copy task, in a batch whose longest has three letters::

    tokens   $ a b | a b . * *
    scored   - - - - x x x - -      x is to be predicted
    counts   7
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dataset_builders.string_tasks.task import Array, Examples, Part, StringTask, indices


@dataclass(frozen=True)
class Sequences:
    """B examples as tokens; W is the most tokens that an example of the task may have.

    Attributes:
        tokens: (B, W) int64, padded on the right.
        scored: (B, W) bool, the tokens to be predicted: answers, and the ``.`` that ends the example.
        counts: (B,) int64, tokens of each example.
        key: (B, n) int64, the key's letters; None where the task has no key.
        valid: (B,) bool, as in ``Examples``; None for all.
    """

    tokens: Array
    scored: Array
    counts: Array
    key: Array | None
    valid: Array | None

    def map(self, function: Callable[[Array], Array]) -> Sequences:
        """The same with a function applied to each array."""
        key, valid = (None if one is None else function(one) for one in (self.key, self.valid))
        return Sequences(function(self.tokens), function(self.scored), function(self.counts), key, valid)


def sequences(task: StringTask, examples: Examples, xp: Any) -> Sequences:
    """Write examples as tokens.

    Args:
        task: what they are examples of.
        examples: from ``task.draw``.
        xp: the array namespace of the examples.
    """
    symbols, parts = task.symbols, examples.parts
    first = next(part for part in parts if isinstance(part, Part)).letters
    width = 2 + sum(part.letters.shape[1] if isinstance(part, Part) else 1 for part in parts)
    place = indices(xp, width, first)[None, :]
    end = xp.zeros_like(first[:, :1]) + 1
    tokens = xp.where(place == 0, symbols.start_id, symbols.pad_id) + 0 * end
    scored = (place < 0) & (end > 0)
    for part in parts:
        if not isinstance(part, Part):
            tokens = xp.where(place == end, symbols.bar_id, tokens)
            end = end + 1
            continue
        inside = (place >= end) & (place < end + part.lengths[:, None])
        source = (place - end) % part.letters.shape[1]
        tokens = xp.where(inside, xp.take_along_axis(part.letters, source, axis=1), tokens)
        if part.scored is True:
            scored = scored | inside
        elif part.scored is not False:
            marks = xp.take_along_axis(part.scored[None, :] & (end > 0), source, axis=1)
            scored = scored | (inside & marks)
        end = end + part.lengths[:, None]
    tokens = xp.where(place == end, symbols.end_id, tokens)
    key = None if examples.key is None else examples.key.letters
    return Sequences(tokens, scored | (place == end), end[:, 0] + 1, key, examples.valid)
