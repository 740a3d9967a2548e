"""Teacher forcing: scores given answers in few forward passes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lm_eval_tasks.probe.encoding import Candidate
from lm_eval_tasks.probe.logits import Forward, logits_of


@dataclass(frozen=True)
class Row:
    """One row of a forward pass.

    Attributes:
        tokens: token ids that the model reads.
        answers: (index, candidate) for each candidate that the row scores; they differ only in the last
            token.
    """

    tokens: tuple[int, ...]
    answers: tuple[tuple[int, Candidate], ...]


def rows_of(candidates: Sequence[Candidate]) -> list[Row]:
    """The rows that score all candidates, longest first: if memory runs out, it does so at the start."""
    together: dict[tuple[int, ...], list[tuple[int, Candidate]]] = {}
    for index, candidate in enumerate(candidates):
        together.setdefault(candidate.tokens[:-1], []).append((index, candidate))
    rows = [Row(tokens, tuple(answers)) for tokens, answers in together.items()]
    return sorted(rows, key=lambda row: -len(row.tokens))


def batches(rows: Sequence[Row], batch_tokens: int) -> Iterator[list[Row]]:
    """Batches of at most ``batch_tokens`` tokens including padding, or of a single row.

    Args:
        rows: the rows, longest first.
    """
    start = 0
    while start < len(rows):
        size = max(1, batch_tokens // len(rows[start].tokens))
        yield list(rows[start : start + size])
        start += size


def score_batch(
    model: nn.Module, batch: Sequence[Row], device: torch.device, forward: Forward | None = None
) -> list[tuple[int, float, float]]:
    """Score the candidates of a batch in one forward pass.

    Rows are padded on the right, which a causal model does not see. As in lm-eval, no attention mask is
    passed.

    Args:
        model: module that maps token ids of shape (rows, longest) to logits, or to an object or tuple that
            contains them.
        batch: the rows.
        device: device of the model.
        forward: see ``logits_of``.

    Returns:
        For each candidate, its index, 1.0 if each of its tokens is the most likely one and otherwise 0.0, and
        the sum of the natural logarithms of their probabilities.

    Raises:
        InputError: the model does not return logits as it should.
    """
    longest = len(batch[0].tokens)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    for row, own in zip(ids, batch, strict=True):
        row[: len(own.tokens)] = torch.tensor(own.tokens)
    first = min(candidate.start for row in batch for _, candidate in row.answers)
    largest = max(max(candidate.tokens) for row in batch for _, candidate in row.answers)
    logits = logits_of(model, ids.to(device), longest - first + 1, largest, forward)
    skipped = longest - logits.shape[1]  # positions without logits; below 0 if the model has virtual tokens
    found: list[tuple[int, Tensor]] = []
    for of_row, own in zip(logits, batch, strict=True):
        for index, candidate in own.answers:
            answer = torch.tensor(candidate.tokens[candidate.start :], device=logits.device)
            begin = candidate.start - 1 - skipped
            scored = of_row[begin : begin + len(answer)]
            logprob = scored.float().log_softmax(-1).gather(1, answer[:, None]).sum()
            greedy = (scored.argmax(-1) == answer).all() & ~logprob.isnan()
            found.append((index, torch.stack([greedy.float(), logprob])))
    values = torch.stack([value for _, value in found]).tolist()  # the only synchronization with the device
    return [(index, greedy, logprob) for (index, _), (greedy, logprob) in zip(found, values, strict=True)]
