"""Philox 4x32-10, compared with published vectors and with a plain version in Python integers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from synthetic_training.data.strings.philox import Counter, philox, uniform

WORD = st.integers(0, 2**32 - 1)


def plain_philox(counter: list[int], key: list[int]) -> list[int]:
    (c0, c1, c2, c3), (k0, k1) = counter, key
    for _ in range(10):
        high0, low0 = divmod(0xD2511F53 * c0, 2**32)
        high1, low1 = divmod(0xCD9E8D57 * c2, 2**32)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return [c0, c1, c2, c3]


def blocks_of(count: int) -> torch.Tensor:
    """The blocks that contain this number of words."""
    return torch.arange(-(-count // 4))


# counter, key and words, as in kat_vectors of the Random123 library
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_known_answers(counter: str, key: str, expected: str) -> None:
    c0, c1, c2, c3 = (int(word, 16) for word in counter.split())
    k0, k1 = (int(word, 16) for word in key.split())
    words = philox((torch.tensor(c0), c1, torch.tensor(c2), torch.tensor(c3)), (k0, k1))
    assert " ".join(f"{int(word):08x}" for word in words) == expected
    assert " ".join(f"{word:08x}" for word in plain_philox([c0, c1, c2, c3], [k0, k1])) == expected


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**64 - 1),
    purpose=WORD,
    first=st.integers(0, 2**32 - 4),
    step=WORD,
    count=st.integers(1, 20),
    as_tensor=st.booleans(),
)
def test_words_are_those_of_plain_integers(
    seed: int, purpose: int, first: int, step: int, count: int, as_tensor: bool
) -> None:
    rows = torch.arange(first, first + 3)
    words = Counter(seed, purpose, rows, torch.tensor(step) if as_tensor else step).words(blocks_of(count))[
        :, :count
    ]
    key = [seed % 2**32, seed >> 32]
    for row, got in zip(rows.tolist(), words.tolist(), strict=True):
        blocks = [plain_philox([block, purpose, row, step], key) for block in range(-(-count // 4))]
        assert got == [word for block in blocks for word in block][:count]


@given(first=st.integers(0, 9), rows=st.integers(1, 10), count=st.integers(1, 30), more=st.integers(0, 30))
@settings(deadline=None, max_examples=30)
def test_fewer_rows_and_words_are_the_same_ones(first: int, rows: int, count: int, more: int) -> None:
    whole = Counter(5, 1, torch.arange(20), 7).words(blocks_of(count + more))[:, : count + more]
    part = Counter(5, 1, torch.arange(first, first + rows), 7).words(blocks_of(count))[:, :count]
    assert torch.equal(part, whole[first : first + rows, :count])


def test_numbers_are_scaled_words() -> None:
    words = Counter(1, 2, torch.arange(50), 3).words(blocks_of(20))
    bounds = torch.arange(1, 21)
    got = uniform(words, bounds)
    assert got.tolist() == [
        [word * bound >> 32 for word, bound in zip(row, bounds.tolist(), strict=True)]
        for row in words.tolist()
    ]
    extremes = torch.tensor([0, 2**32 - 1])
    assert uniform(extremes, 2**31).tolist() == [0, 2**31 - 1]
    assert uniform(extremes, 7).tolist() == [0, 6]


def test_neighbours_have_nothing_in_common() -> None:
    count = 20_000
    made = {
        "itself": Counter(1, 2, torch.tensor([3]), 4),
        "next row": Counter(1, 2, torch.tensor([4]), 4),
        "next step": Counter(1, 2, torch.tensor([3]), 5),
        "next seed": Counter(2, 2, torch.tensor([3]), 4),
        "upper half of the seed": Counter(1 + 2**32, 2, torch.tensor([3]), 4),
        "next purpose": Counter(1, 3, torch.tensor([3]), 4),
        "row and step exchanged": Counter(1, 2, torch.tensor([4]), 3),
    }
    words = torch.cat([counter.words(blocks_of(count))[:, :count] for counter in made.values()])
    assert len(words.unique()) > 0.9999 * words.numel()
    shifted = words[0].roll(1)
    correlations = torch.cat([words, shifted[None]]).double().corrcoef()
    off_diagonal = correlations - torch.eye(len(correlations))
    assert off_diagonal.abs().max() < 5 / count**0.5
    bits = (words[:, :, None] >> torch.arange(32) & 1).double().mean(1)
    assert (bits - 0.5).abs().max() < 5 * 0.5 / count**0.5


@pytest.mark.parametrize(("seed", "step"), [(-1, 0), (2**64, 0), (0.5, 0), (0, -1), (0, 2**32), (0, True)])
def test_a_seed_or_step_that_does_not_fit_is_refused(seed: int, step: int) -> None:
    with pytest.raises(InputError, match="(seed|step) must be"):
        Counter(seed, 0, torch.arange(1), step)
