"""Lengths as users type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.ranges import parse_lengths


@pytest.mark.parametrize(
    ("text", "lengths"),
    [
        ("20", (20,)),
        ("20:120:20", (20, 40, 60, 80, 100, 120)),
        ("20:119:20", (20, 40, 60, 80, 100)),
        ("3:5", (3, 4, 5)),
        (" 7:7 ", (7,)),
        ("0", (0,)),
    ],
)
def test_ranges_include_their_end(text: str, lengths: tuple[int, ...]) -> None:
    assert parse_lengths(text) == lengths


@given(st.integers(0, 500), st.integers(0, 500), st.integers(1, 60))
def test_a_range_is_that_of_its_definition(first: int, extent: int, step: int) -> None:
    expected = [n for n in range(first, first + extent + 1) if (n - first) % step == 0]
    assert list(parse_lengths(f"{first}:{first + extent}:{step}")) == expected


@pytest.mark.parametrize("text", ["", "a", "-3", "1:2:3:4", "5:", ":5", "1.5", "1,2", "٣"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a length; write a number, or a range such as 20:120:20"):
        parse_lengths(text)


@pytest.mark.parametrize("text", ["5:4", "1:9:0"])
def test_empty_ranges_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"the range '{text}' is empty"):
        parse_lengths(text)


def test_huge_ranges_are_refused() -> None:
    with pytest.raises(InputError, match="has 1000000000000 lengths; the most are 10000"):
        parse_lengths("1:1000000000000")
