"""Examples of ``dataset_builders.strings``, drawn by tensor operations on the device where the model is.

The distribution is that of ``dataset_builders.strings.sample``; the examples are others. The strings of a
row stand one after the other in a stream of letters, so that short strings take no more room than they
need::

    letters   q w e r t y a b c d ...      E examples a row, here of 6 and 4 letters
    starts    0           6

Nothing waits for the device. Where ``dataset_builders.strings`` draws a string again until it has a place
for its key, here each string is drawn a fixed number of times, and the first that has a place is taken.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from dataset_builders import InputError
from dataset_builders.strings import Definition
from synthetic_training.data.strings.philox import Counter, uniform
from synthetic_training.data.strings.unique_keys import places_for_keys

TRAIN, EVALUATE, PROBE = range(3)
"""Streams of random words, disjoint: for training, for evaluation, and to see how rare strings are."""

_FAILURE = 1e-12
_MOST_TRIES = 256
_PROBED_LETTERS = 2**20


@dataclass(frozen=True)
class Examples:
    """E examples in each of R rows; places are indices into a string, from 0. All tensors are int64.

    Attributes:
        letters: (R, W), the strings of a row one after the other.
        starts: (R, E), where each string begins in ``letters``.
        lengths: (R, E), letters of each string.
        key_at: (R, E), where the key begins; -1 in ``copy``.
        again_at: (R, E), where ``duplicate_ngram`` wrote the key a second time; -1 in other tasks.
        answer_at: (R, E), where the answer begins.
        answer_end: (R, E), the place after the answer's last letter.
    """

    letters: Tensor
    starts: Tensor
    lengths: Tensor
    key_at: Tensor
    again_at: Tensor
    answer_at: Tensor
    answer_end: Tensor


def sample_on_device(
    definition: Definition, examples: int, width: int, tries: int, counter: Counter
) -> Examples:
    """Draw ``examples`` examples for each row of the counter.

    Lengths are uniform. Given its length, a string is uniform among those with a place for the key, and
    the place is uniform among the string's places.

    Args:
        definition: the task and its lengths.
        examples: E, examples a row.
        width: W, letters a row, at least ``definition.max_length``. Examples whose string would end beyond
            are to be left unused.
        tries: how often to draw a string, from ``tries_needed``.
        counter: which rows, of which step and run.
    """
    drawn = _Drawn.of(definition, examples, width, tries, counter)
    if definition.name == "copy":
        none, nil = torch.full_like(drawn.lengths, -1), torch.zeros_like(drawn.lengths)
        end = drawn.lengths if definition.k is None else torch.full_like(nil, definition.k)
        return Examples(drawn.letters[:, 0], drawn.starts, drawn.lengths, none, none, nil, end)
    if definition.name == "duplicate_ngram":
        return _written_twice(definition, drawn)
    return _looked_up(definition, drawn)


@lru_cache(maxsize=128)
def tries_needed(definition: Definition) -> int:
    """How often to draw a string, so that fewer than one example in 10^12 finds no place for its key.

    Such an example gets the string ``baa...``, which has one, so that no batch holds a wrong example. How
    rare strings with a place are is seen on random ones of some lengths, the same on every machine.

    Raises:
        InputError: they are so rare that more than 256 tries would be needed.
    """
    if definition.name == "copy":
        return 1
    if definition.name == "duplicate_ngram":
        return _tries_against(definition.vocabulary**-definition.n)
    shortest, longest = definition.min_length, definition.max_length
    lengths = {shortest, round((shortest * longest) ** 0.5), longest}
    return max(_tries_at(replace(definition, min_length=i, max_length=i)) for i in sorted(lengths))


def purpose_of(definition: Definition, stream: int) -> int:
    """The counter's word for a task and a stream; streams differ in its upper two bits."""
    d = definition
    identity = f"{d.name}/{d.min_length}-{d.max_length}/vocabulary_{d.vocabulary}/n_{d.n}/k_{d.k}"
    digest = hashlib.sha256(identity.encode()).digest()
    return stream << 30 | int.from_bytes(digest[:4], "big") >> 2


def _tries_at(definition: Definition) -> int:
    """Tries at the definition's one length."""
    length = definition.max_length
    count, failed = max(256, _PROBED_LETTERS // length), 0
    for rows in torch.arange(count).split(max(1, _PROBED_LETTERS // length)):
        counter = Counter(0, purpose_of(definition, PROBE), rows, 0)
        drawn = _Drawn.of(definition, 1, length, 1, counter)
        which = torch.zeros_like(drawn.letters[:, 0])
        failed += int((places_for_keys(definition, drawn.letters, drawn.ends, which).count == 0).sum())
    # seldom too low: three standard deviations more than was seen, and three failures where none was
    tries = _tries_against(min(1.0, (failed + 3 * failed**0.5 + 3) / count))
    if tries > _MOST_TRIES:
        raise InputError(
            f"{definition.name}: of {count} strings of {length} letters, {count - failed} hold an n-gram of "
            f"n = {definition.n} that stands once and the answer after it, too few to draw whole batches; "
            "take a larger n, a larger vocabulary or shorter strings"
        )
    return tries


def _tries_against(failure: float) -> int:
    """The least number of tries that seldom enough fail all; or one more than may be."""
    tries = 1
    while failure**tries > _FAILURE and tries <= _MOST_TRIES:
        tries += 1
    return tries


@dataclass(frozen=True)
class _Drawn:
    """Strings, each drawn T times, and what else is random.

    Attributes:
        letters: (R, T, W), the strings of a row one after the other.
        lengths, starts, ends: (R, E), of the strings in ``letters``.
        choices: up to two of (R, E), random words to choose places by.
    """

    letters: Tensor
    lengths: Tensor
    starts: Tensor
    ends: Tensor
    choices: tuple[Tensor, ...]

    @classmethod
    def of(cls, definition: Definition, examples: int, width: int, tries: int, counter: Counter) -> _Drawn:
        numbers = 1 + {"copy": 0, "duplicate_ngram": 2}.get(definition.name, 1)
        words = counter.words(numbers * examples + tries * width)
        first, *choices = words[:, : numbers * examples].unflatten(1, (numbers, examples)).unbind(1)
        lengths = definition.min_length + uniform(first, definition.max_length - definition.min_length + 1)
        letters = uniform(words[:, numbers * examples :].unflatten(1, (tries, width)), definition.vocabulary)
        ends = lengths.cumsum(1)
        return cls(letters, lengths, ends - lengths, ends, tuple(choices))


def example_of(ends: Tensor, width: int) -> Tensor:
    """(R, width): in which of a row's E examples each place is; the first one ends before ``ends[:, 0]``."""
    places = torch.arange(width, device=ends.device).expand(len(ends), width).contiguous()
    return torch.searchsorted(ends, places, right=True).clamp(max=ends.shape[1] - 1)


def _looked_up(definition: Definition, drawn: _Drawn) -> Examples:
    which = example_of(drawn.ends, drawn.letters.shape[2])
    places = places_for_keys(definition, drawn.letters, drawn.ends, which)
    letters, first, none = _first_of(drawn, places.count > 0, which)
    key_at = places.choose(drawn.choices[0]).gather(1, first[:, None])[:, 0] - drawn.starts
    key_at = key_at.masked_fill(none, 0)
    answer_at = key_at + definition.n
    answer_end = drawn.lengths if definition.k is None else answer_at + definition.k
    again_at = torch.full_like(key_at, -1)
    return Examples(letters, drawn.starts, drawn.lengths, key_at, again_at, answer_at, answer_end)


def _written_twice(definition: Definition, drawn: _Drawn) -> Examples:
    """Write an n-gram over another one; the two places do not overlap."""
    n, starts, lengths = definition.n, drawn.starts, drawn.lengths
    # two distinct numbers a, b; with n - 1 letters put between them they are two places n or more apart
    room = lengths - 2 * n + 2
    a, b = (uniform(word, bound) for word, bound in zip(drawn.choices, (room, room - 1), strict=True))
    b = b + (b >= a)
    key_at, again_at = torch.where(a < b, a, a + n - 1), torch.where(a < b, b + n - 1, b)
    key, over = (_pieces(drawn.letters, starts + at, n) for at in (key_at, again_at))
    width = drawn.letters.shape[2]
    which = example_of(drawn.ends, width)
    letters, _, _ = _first_of(drawn, (key != over).any(3), which)
    place = torch.arange(width, device=letters.device)
    beyond = place - (starts + again_at).gather(1, which)
    back = torch.where((beyond >= 0) & (beyond < n), (again_at - key_at).gather(1, which), 0)
    letters = letters.gather(1, (place - back).clamp(0, width - 1))
    return Examples(letters, starts, lengths, key_at, again_at, torch.zeros_like(lengths), lengths)


def _pieces(letters: Tensor, starts: Tensor, n: int) -> Tensor:
    """(R, T, E, n): of letters (R, T, W), n from each start (R, E) on."""
    places = (starts[:, :, None] + torch.arange(n, device=starts.device)).clamp(max=letters.shape[2] - 1)
    pieces = letters.gather(2, places.flatten(1)[:, None].expand(-1, letters.shape[1], -1))
    return pieces.unflatten(2, (-1, n))


def _first_of(drawn: _Drawn, ok: Tensor, which: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The first try of each string that is ok (R, T, E), and the string ``baa...`` where none is.

    Returns:
        the letters (R, W); the number of the try, and whether none is ok, (R, E).
    """
    failures = ok.cumsum(1).eq(0).sum(1)
    none, first = failures == ok.shape[1], failures.clamp(max=ok.shape[1] - 1)
    letters = drawn.letters.gather(1, first.gather(1, which)[:, None])[:, 0]
    begins = torch.arange(which.shape[1], device=which.device) == drawn.starts.gather(1, which)
    return torch.where(none.gather(1, which), begins.long(), letters), first, none
