"""Where a key may stand in a string: its n-gram stands there once, and the answer's letters follow it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from dataset_builders.strings import Definition
from synthetic_training.data.strings.philox import uniform


@dataclass(frozen=True)
class Places:
    """Places for the key in R rows of E strings, each drawn T times.

    Attributes:
        count: (R, T, E) int64, how many places a string has.
        before: (R, T, E) int64, how many the strings before it in its row have together.
        running: (R, T, P) int64, how many there are up to a letter of the row, that one included.
    """

    count: Tensor
    before: Tensor
    running: Tensor

    def choose(self, words: Tensor) -> Tensor:
        """(R, T, E): one of a string's places by a random word (R, E), as a place in the row's letters."""
        chosen = uniform(words[:, None], self.count.clamp(min=1))
        return torch.searchsorted(self.running, self.before + chosen + 1)


def places_for_keys(definition: Definition, letters: Tensor, ends: Tensor, which: Tensor) -> Places:
    """Count the places for keys.

    Args:
        definition: a look-up.
        letters: (R, T, W) int64, the strings of a row one after the other.
        ends: (R, E) int64, the place in ``letters`` after each string.
        which: (R, W) int64, the string to which a letter belongs.
    """
    width = letters.shape[2] - definition.n + 1
    which = which[:, :width]
    place = torch.arange(width, device=letters.device)
    room = ends.gather(1, which) - place
    # beyond its string's end, a number that nothing else has
    codes = torch.where((room >= definition.n)[:, None], _codes(definition, letters, which), -1 - place)
    possible = _stands_once(codes) & (room >= definition.n + (definition.k or 1))[:, None]
    running = possible.cumsum(2)
    last = (ends - 1).clamp(max=width - 1)[:, None].expand(-1, letters.shape[1], -1)
    upto = running.gather(2, last)
    before = pad(upto[:, :, :-1], (1, 0))
    return Places(upto - before, before, running)


def _codes(definition: Definition, letters: Tensor, which: Tensor) -> Tensor:
    """(R, T, W - n + 1): one number an n-gram; n-grams of different strings have different numbers."""
    width = which.shape[1]
    codes = letters[:, :, :width]
    for offset in range(1, definition.n):
        codes = torch.add(letters[:, :, offset : offset + width], codes, alpha=definition.vocabulary)
    # where this wraps around, which takes the largest n, two strings may meet in a number by a chance of
    # about 2^-63: a place for a key is then passed over
    return codes + (which * definition.vocabulary**definition.n)[:, None]


def _stands_once(codes: Tensor) -> Tensor:
    """Where a row's number stands nowhere else in the row."""
    ordered, order = codes.sort(dim=2)
    same = ordered[:, :, 1:] == ordered[:, :, :-1]
    once = ~(pad(same, (1, 0)) | pad(same, (0, 1)))
    return torch.empty_like(once).scatter_(2, order, once)
