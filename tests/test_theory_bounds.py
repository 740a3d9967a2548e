"""The paper's bounds, compared with brute force where possible, and at sizes beyond the range of floats."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from synthetic_training.theory.__main__ import main
from synthetic_training.theory.bounds import (
    gssm_error_bound,
    gssm_error_bound_of_bits,
    half_error_length,
    log2_accuracy_bound,
    repeated_ngram_bound,
    repeated_ngram_proportion,
    smallest_design,
    smallest_n,
)


def exact_share_of_repeats(letters: int, n: int, length: int) -> float:
    strings = list(itertools.product(range(letters), repeat=length))
    repeats = [len({s[i : i + n] for i in range(length - n + 1)}) < length - n + 1 for s in strings]
    return sum(repeats) / len(strings)


@pytest.mark.parametrize(("letters", "n", "length"), [(2, 2, 4), (2, 3, 8), (2, 4, 10), (3, 2, 5), (4, 3, 6)])
def test_the_share_of_repeats_is_that_of_all_strings(letters: int, n: int, length: int) -> None:
    share = repeated_ngram_proportion(letters, n, length, strings=20_000, seed=3)
    exact = exact_share_of_repeats(letters, n, length)
    assert abs(share.mean - exact) < 5 * share.stderr
    assert share.stderr == pytest.approx(math.sqrt(exact * (1 - exact) / 20_000), rel=0.05)
    assert exact <= repeated_ngram_bound(letters, n, length)


def test_seeds_are_kept_and_short_strings_have_no_repeat() -> None:
    assert repeated_ngram_proportion(4, 3, 9, 500) == repeated_ngram_proportion(4, 3, 9, 500)
    assert repeated_ngram_proportion(4, 3, 9, 500) != repeated_ngram_proportion(4, 3, 9, 500, seed=1)
    assert repeated_ngram_proportion(2, 5, 3, 10).mean == 0
    assert repeated_ngram_proportion(2, 1, 3, 10).mean == 1
    with pytest.raises(InputError, match="n-grams of 14 do not fit in 63 bits"):
        repeated_ngram_proportion(26, 14, 30)


@given(st.integers(2, 26), st.integers(40, 10**9), st.integers(1, 10**12))
def test_the_smallest_n_is_enough_and_one_less_is_not(letters: int, length: int, inverse: int) -> None:
    error = Fraction(1, inverse)
    try:
        n = smallest_n(letters, length, error)
    except InputError:
        assert repeated_ngram_bound(letters, length // 2, length) > error
        return
    assert repeated_ngram_bound(letters, n, length) <= error
    assert n == 1 or repeated_ngram_bound(letters, n - 1, length) > error


def test_the_dimension_that_the_corollary_asks_for() -> None:
    design = smallest_design(26, 1000, Fraction(1, 100))
    # log_26(1000^2 * 100) = 5.65
    assert (design.n, design.dimension) == (6, 100)
    with pytest.raises(InputError, match="needs n = 34 and strings of at least 68 letters, not 10"):
        smallest_n(2, 10, Fraction(1, 10**8))
    with pytest.raises(InputError, match="the error must be above 0"):
        smallest_n(2, 10, Fraction(0))


Machine = tuple[np.ndarray, np.ndarray]
"""A state after each state and token, the last of which is the bar; and a letter given out in each state."""


def copied(machine: Machine, letters: int, length: int) -> int:
    """The number of strings that a generalized state space model copies, starting in state 0."""
    update, output = machine
    count = 0
    for string in itertools.product(range(letters), repeat=length):
        state = 0
        for token in (*string, letters):
            state = update[state, token]
        for letter in string:
            if output[state] != letter:
                break
            state = update[state, letter]
        else:
            count += 1
    return count


def all_machines(states: int, letters: int) -> "itertools.chain[Machine]":
    updates = itertools.product(range(states), repeat=states * (letters + 1))
    outputs = [np.array(o) for o in itertools.product(range(letters), repeat=states)]
    return itertools.chain.from_iterable(
        ((np.array(u).reshape(states, letters + 1), o) for o in outputs) for u in updates
    )


@pytest.mark.parametrize(
    ("states", "letters", "length", "best"),
    [(1, 2, 1, 1), (2, 2, 1, 2), (2, 2, 2, 2), (2, 2, 3, 2), (2, 3, 1, 2)],
)
def test_no_machine_of_a_few_states_beats_the_bound(
    states: int, letters: int, length: int, best: int
) -> None:
    most = max(copied(machine, letters, length) for machine in all_machines(states, letters))
    assert most == best
    assert 1 - Fraction(most, letters**length) >= gssm_error_bound(states, letters, length)


@settings(max_examples=300)
@given(st.data())
def test_no_random_machine_beats_the_bound(data: st.DataObject) -> None:
    states, letters = data.draw(st.integers(1, 5)), data.draw(st.integers(2, 3))
    length = data.draw(st.integers(1, 4))
    numbers = st.integers(0, states - 1)
    size = states * (letters + 1)
    update = np.array(data.draw(st.lists(numbers, min_size=size, max_size=size))).reshape(states, -1)
    output = np.array(data.draw(st.lists(st.integers(0, letters - 1), min_size=states, max_size=states)))
    error = 1 - Fraction(copied((update, output), letters, length), letters**length)
    assert error >= gssm_error_bound(states, letters, length)


def test_the_bound_is_reached_by_a_table_of_answers() -> None:
    """States 1 and 2 remember the letter and output it; the bar changes neither."""
    update = np.array([[1, 2, 0], [1, 2, 1], [1, 2, 2]])
    assert copied((update, np.array([0, 0, 1])), 2, 1) == 2
    assert gssm_error_bound(2, 2, 1) == 0
    assert gssm_error_bound(3, 2, 2) == Fraction(1, 4)


@given(st.integers(0, 200), st.integers(2, 26), st.integers(1, 60))
def test_bits_and_states_give_the_same_bound(bits: int, letters: int, length: int) -> None:
    exact = gssm_error_bound(2**bits, letters, length)
    assert gssm_error_bound_of_bits(bits, letters, length) == pytest.approx(float(exact), abs=1e-9)
    accuracy = log2_accuracy_bound(bits, letters, length)
    assert accuracy == pytest.approx(min(0, bits - length * math.log2(letters)))


@given(st.integers(0, 3000), st.integers(2, 26))
def test_the_half_error_length_is_the_least(bits: int, letters: int) -> None:
    length = half_error_length(bits, letters)
    assert letters**length > 2 ** (bits + 1)
    assert letters ** (length - 1) <= 2 ** (bits + 1)
    assert gssm_error_bound(2**bits, letters, length) > Fraction(1, 2)


def test_huge_states_do_not_overflow() -> None:
    bits = 24 * 2048 * (32 + 3) * 16
    assert bits == 27_525_120
    length = half_error_length(bits, 26)
    assert length == 5_855_861
    assert (length - 1) * math.log2(26) < bits + 1 < length * math.log2(26)
    assert gssm_error_bound_of_bits(bits, 26, length) > 0.5
    assert gssm_error_bound_of_bits(bits, 26, length - 3) == 0
    assert gssm_error_bound_of_bits(bits, 26, 10 * length) == 1
    assert half_error_length(10**30, 2) == 10**30 + 2


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        # 50^2 / 26^3 and 26^4; 50 log2(26) = 235.022; 2^-35.022 of the strings
        (
            "--letters 26 --length 50 --bits 200 --n 3",
            "235.0 bits|below 0.142\n|n = 4, dimension 76|at least 1; |2^-35.022|from 43 letters|than 234.0",
        ),
        # 100 / 2^5; a half of 2^10 strings; 9 < L - 1
        (
            "--letters 2 --length 10 --bits 9 --n 5 --error 0.5",
            "3.12 (vacuous)|needs n = 8 and strings of at least 16|0.5; |2^-1\n|11 letters|than 9.0",
        ),
        ("--letters 2 --length 10 --bits 10", "at least 0; accuracy at most 2^0\n"),
    ],
)
def test_the_command_prints_each_bound(
    arguments: str, found: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["bounds", *arguments.split()])
    text = capsys.readouterr().out
    places = [text.index(one) for one in found.split("|")]
    assert places == sorted(places)


def test_the_command_refuses_what_is_no_error() -> None:
    with pytest.raises(SystemExit, match="the error must be above 0 and below 1, not 1"):
        main(["bounds", "--letters", "26", "--length", "50", "--bits", "1", "--error", "1"])
