"""Which other places of a string could mislead a model that finds its place by the last few letters.

While a model copies letter i of a string, a place j with another letter competes with i, the more so the more
letters before both places are the same: a look-up of the letters before i may then find the letter at j. The
end of the string is such a place too. A competitor of n letters shares exactly n letters before it. If each
competitor of n letters misleads the model with probability 1 - exp(-h_n), independently of the others, the
letter is right with probability exp(-sum over n of h_n times the number of competitors of n letters).

``KeyCounts`` is all that the estimate of h_n needs. It has the letters of each string up to the first wrong
one, so that a string that goes wrong early does not outweigh the others.
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
"""Number of letters from which on competitors are counted together."""


@dataclass(frozen=True)
class KeyCounts:
    """The competitors at the letters that a model copied, of strings of one length.

    Attributes:
        right: sum over the letters copied correctly of the number of competitors of 0, 1, 2, ... letters.
        wrong: for each combination of these numbers at a letter copied wrongly, how often it occurred.
    """

    right: tuple[int, ...]
    wrong: dict[tuple[int, ...], int]

    def as_json(self) -> dict[str, Any]:
        """The counts as JSON values; each wrong one is a list of the number and the combination."""
        return {"right": list(self.right), "wrong": [[count, *key] for key, count in self.wrong.items()]}

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> "KeyCounts":
        """The inverse of ``as_json``."""
        return cls(tuple(content["right"]), {tuple(key): count for count, *key in content["wrong"]})


def competitors(letters: Tensor) -> Tensor:
    """The number of competitors of 0, 1, 2, ... letters at each place of strings of one length.

    Args:
        letters: (B, L) int64.

    Returns:
        (B, L, ``LONGEST`` + 1) int64. The last column counts competitors of ``LONGEST`` letters and more.
    """
    count, length = letters.shape
    letters = torch.nn.functional.pad(letters, (0, 1), value=-1)  # the end
    found = torch.zeros(count, length, LONGEST + 1, dtype=torch.int64, device=letters.device)
    # number of letters before each place that are the same as those before the current place
    shared = torch.zeros_like(letters)
    for place in range(length):
        if place:
            same = letters[:, :-1] == letters[:, place - 1, None]
            longer = (shared[:, :-1] + 1).clamp(max=LONGEST)
            shared = torch.nn.functional.pad(torch.where(same, longer, 0), (1, 0))
        others = (letters != letters[:, place, None]).long()
        found[:, place].scatter_add_(1, shared, others)
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
