"""Measures the error rate of the construction on random strings, and how often an n-gram repeats in them.

One pass over the correct answer predicts the token after each letter. If all predictions are correct, greedy
generation gives the same answer; otherwise, its first wrong letter is at the same position.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from synthetic_training.data.symbol_tokenizer import BAR_ID, END_ID, START_ID
from synthetic_training.theory.bounds import Proportion, repeated_ngram_bound
from synthetic_training.theory.construction import construct
from synthetic_training.theory.unrepeated import unrepeated_strings

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

log = logging.getLogger(__name__)

ALPHABETS, NS = (2, 4, 26), (2, 3, 4, 5, 6)
LONGEST = 2000
_UNREPEATED = 10
_BATCH_TOKENS = {"cpu": 2**14, "cuda": 2**18}


@dataclass(frozen=True)
class Copies:
    """The copies of a batch of B strings.

    Attributes:
        right: (B,) bool, whether every letter was copied.
        ended: (B,) bool, whether the full stop followed.
        first_wrong: (B,) int64, position of the first wrong letter in the string; L if no letter is wrong.
        repeated: (B,) bool, whether some n-gram occurs twice in the string.
        explained: (B,) bool, whether the first wrong letter follows an n-gram that occurs twice.
    """

    right: Tensor
    ended: Tensor
    first_wrong: Tensor
    repeated: Tensor
    explained: Tensor


@dataclass(frozen=True)
class Measurement:
    """Results of the construction of one size on random strings; proportions have standard errors.

    Attributes:
        letters, n, length: D, n and L.
        beyond: whether L > D^n.
        strings: number of uniform strings.
        error: proportion of these strings with a wrong letter in the copy.
        repeated: proportion of these strings in which some n-gram occurs twice.
        bound: L^2 D^-n.
        without_full_stop: proportion of these strings whose copy is not followed by the full stop.
        wrong_without_repeat: number of wrong copies of strings in which no n-gram occurs twice.
        wrong_elsewhere: number of copies whose first wrong letter does not follow an n-gram that occurs
            twice.
        unrepeated: number of additional strings, in which no n-gram occurs twice.
        unrepeated_wrong: number of wrong copies of the additional strings; a missing full stop is wrong too.
        seconds: time taken.
    """

    letters: int
    n: int
    length: int
    beyond: bool
    strings: int
    error: float
    error_stderr: float
    repeated: float
    repeated_stderr: float
    bound: float
    without_full_stop: float
    wrong_without_repeat: int
    wrong_elsewhere: int
    unrepeated: int
    unrepeated_wrong: int
    seconds: float


def sizes(longest: int = LONGEST) -> Iterator[tuple[int, int, int]]:
    """D, n and L of each row of the table: L is 2n, D^(n/2), D^n and 2 D^n, up to ``longest``."""
    for letters in ALPHABETS:
        for n in NS:
            lengths = (2 * n, round(letters ** (n / 2)), letters**n, 2 * letters**n)
            yield from (
                (letters, n, length) for length in sorted({min(max(a, 2 * n), longest) for a in lengths})
            )


def measure(
    cases: Sequence[tuple[int, int, int]],
    strings: int,
    device: torch.device | str,
    seed: int = 0,
    most_pairs: int | None = None,
) -> list[Measurement]:
    """Copy random strings with the construction of each size.

    Args:
        cases: D, n and L of each size.
        strings: number of strings per size.
        device: device on which the model runs.
        seed: seed of the strings.
        most_pairs: maximum number of pairs of query and key in all strings together, for which fewer strings
            of large sizes are copied, but at least 100; None for no maximum.
    """
    measurements = []
    for letters, n, length in cases:
        pairs = (2 * length + 3) ** 2
        count = strings if most_pairs is None else min(strings, max(100, most_pairs // pairs))
        measurements.append(_measure_size(letters, n, length, count, device, seed))
        log.info("D = %d, n = %d, L = %d: %.1f s", letters, n, length, measurements[-1].seconds)
    return measurements


def copy(model: PreTrainedModel, strings: Tensor, n: int) -> Copies:
    """Let a model copy strings, (B, L) int64, in one pass over the correct answers."""
    import torch

    length = strings.shape[1]
    start, bar, end = (strings.new_full((len(strings), 1), i) for i in (START_ID, BAR_ID, END_ID))
    with torch.no_grad():
        tokens = torch.cat([start, strings, bar, strings], dim=1)
        answers = model(input_ids=tokens, use_cache=False, logits_to_keep=length + 1).logits.argmax(-1)
    equal = answers == torch.cat([strings, end], dim=1)
    wrong = ~equal[:, :length]
    first = torch.where(wrong.any(1), wrong.int().argmax(1), length)
    again = occurs_again(strings, n)
    # the n-gram before position p starts at p - n; no n-gram can explain errors at positions below n
    begins = (first - n).clamp(min=0, max=again.shape[1] - 1)
    explained = again.gather(1, begins[:, None])[:, 0] & (first >= n)
    return Copies(~wrong.any(1), equal[:, length], first, again.any(1), explained)


def occurs_again(strings: Tensor, n: int) -> Tensor:
    """Whether each n-gram of a string occurs elsewhere in it, (B, L - n + 1) bool."""
    import torch

    grams = strings.unfold(1, n, 1)
    # n-grams of 26 letters do not fit in 64 bits from n = 14 on, so they are renumbered after every letter
    numbers = grams[..., 0]
    for i in range(1, n):
        pairs = numbers * 26 + grams[..., i]
        numbers = torch.unique(pairs, return_inverse=True)[1]
    ordered, order = numbers.sort(dim=1)
    same = ordered[:, 1:] == ordered[:, :-1]
    again = torch.zeros_like(numbers, dtype=torch.bool)
    again[:, 1:] = same
    again[:, :-1] |= same
    return torch.empty_like(again).scatter_(1, order, again)


def _measure_size(
    letters: int, n: int, length: int, strings: int, device: torch.device | str, seed: int
) -> Measurement:
    import torch

    from dataset_builders.string_tasks import Copy
    from synthetic_training.data.strings import evaluation_batch

    begun = time.perf_counter()
    model = construct(letters, n, max(length, 2 * n)).to(device)
    # without padding, attention needs no mask tensor
    model.set_attn_implementation("hard_alibi_split")
    task = Copy(length, length, letters)
    batch = max(1, _BATCH_TOKENS[torch.device(device).type] // (2 * length + 3))
    sums = torch.zeros(5, dtype=torch.int64, device=device)
    for first in range(0, strings, batch):
        rows = evaluation_batch(task, min(batch, strings - first), seed, device, first=first)
        done = copy(model, rows.input_ids[:, 1 : length + 1], n)
        wrong = ~done.right
        each = (wrong, done.repeated, ~done.ended, wrong & ~done.repeated, wrong & ~done.explained)
        sums += torch.stack([one.sum() for one in each])
    errors, repeats, unended, without_repeat, elsewhere = sums.tolist()
    unrepeated = _unrepeated(letters, n, length, seed)
    unrepeated_wrong = 0
    for string in unrepeated:
        done = copy(model, torch.tensor([string], device=device), n)
        unrepeated_wrong += int(not (done.right & done.ended).item())
    error, repeated = Proportion.of(errors, strings), Proportion.of(repeats, strings)
    return Measurement(
        letters,
        n,
        length,
        length > letters**n,
        strings,
        error.mean,
        error.stderr,
        repeated.mean,
        repeated.stderr,
        float(repeated_ngram_bound(letters, n, length)),
        unended / strings,
        without_repeat,
        elsewhere,
        len(unrepeated),
        unrepeated_wrong,
        round(time.perf_counter() - begun, 2),
    )


def _unrepeated(letters: int, n: int, length: int, seed: int) -> list[list[int]]:
    """A few strings without a repeated n-gram, if such strings can be found."""
    if length > letters**n:
        return []
    return unrepeated_strings(letters, n, length, _UNREPEATED, seed)


def as_dicts(measurements: Sequence[Measurement]) -> list[dict[str, Any]]:
    """Measurements as JSON values."""
    return [asdict(one) for one in measurements]
