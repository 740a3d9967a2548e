"""Counts the positions of a string that compete with the one a model copies next.

A model that copies letter i of a string may find it by looking up the letters before i. Every position j with
another letter, and the end of the string, is then a competitor: one *of n letters* if exactly the n letters
before i and before j agree. If each competitor of n letters misleads the model with probability p_n, where
p_n = 1 - exp(-h_n), independently of the others, the letter is copied correctly with probability
exp(-sum over n of h_n times the number of competitors of n letters).

``KeyCounts`` contains everything that the estimate of h_n needs. In each string, only letters up to the first
wrong one are counted, so that a string that goes wrong early does not outweigh the others.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from synthetic_training.data.strings import EvaluationBatch
from synthetic_training.evaluation.accuracy import forced_answers

LONGEST = 12
"""Competitors of at least this many letters are counted together."""


@dataclass(frozen=True)
class KeyCounts:
    """The competitors at the letters that a model copied, of strings of one length.

    Attributes:
        right: numbers of competitors of 0, 1, 2, ... letters, summed over the letters copied correctly.
        wrong: how often each tuple of these numbers occurred at a letter copied wrongly.
    """

    right: tuple[int, ...]
    wrong: dict[tuple[int, ...], int]

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values; each item of ``wrong`` is a list of its count, then the tuple."""
        return {"right": list(self.right), "wrong": [[count, *key] for key, count in self.wrong.items()]}

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> "KeyCounts":
        """The counts from the JSON values of ``as_json``."""
        return cls(tuple(content["right"]), {tuple(key): count for count, *key in content["wrong"]})


def competitors(letters: Tensor) -> Tensor:
    """The number of competitors of 0, 1, 2, ... letters at each position of strings of one length.

    Args:
        letters: (B, L) int64.

    Returns:
        (B, L, ``LONGEST`` + 1) int64. The last column counts competitors of ``LONGEST`` letters and more.
    """
    count, length = letters.shape
    letters = torch.nn.functional.pad(letters, (0, 1), value=-1)  # the end of the string
    found = torch.zeros(count, length, LONGEST + 1, dtype=torch.int64, device=letters.device)
    # number of letters before each position that equal those before the current position
    shared = torch.zeros_like(letters)
    for position in range(length):
        if position:
            same = letters[:, :-1] == letters[:, position - 1, None]
            longer = (shared[:, :-1] + 1).clamp(max=LONGEST)
            shared = torch.nn.functional.pad(torch.where(same, longer, 0), (1, 0))
        others = (letters != letters[:, position, None]).long()
        found[:, position].scatter_add_(1, shared, others)
    return found


@torch.no_grad()
def key_counts(model: PreTrainedModel, batches: Iterable[EvaluationBatch]) -> KeyCounts:
    """Count the competitors at the letters that a model copies, in one forced pass.

    Args:
        model: the model in evaluation mode.
        batches: examples of the task copy, all of the same length.
    """
    right = torch.zeros(LONGEST + 1, dtype=torch.int64)
    wrong: Counter[tuple[int, ...]] = Counter()
    for batch in batches:
        correct = forced_answers(model, batch) == batch.targets
        rows = len(batch.targets)
        letters, correct = (one[batch.answers].view(rows, -1) for one in (batch.targets, correct))
        counts = competitors(letters).cpu()
        so_far = correct.long().cumprod(1).cpu()
        right += (counts * so_far[:, :, None]).sum((0, 1))
        first = so_far.sum(1)
        gone = (first < letters.shape[1]).nonzero().flatten()
        wrong.update(tuple(row) for row in counts[gone, first[gone]].tolist())
    return KeyCounts(tuple(right.tolist()), dict(wrong))
