"""Examples of the string tasks, drawn by NumPy and by PyTorch, compared with loops and enumeration."""

from collections import Counter
from itertools import product
from typing import Any

import array_api_compat.numpy as numpy_namespace
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dataset_builders import InputError
from dataset_builders.string_tasks import (
    Copy,
    DuplicateNgram,
    PrefixNgram,
    Reverse,
    StringTask,
    SuffixNgram,
    string_task,
)
from dataset_builders.string_tasks.ngram_lookup import ranked_by_comparison, ranked_by_sorting
from dataset_builders.string_tasks.sampling import NumpyRandomIntegers, longest_example, sample
from synthetic_training.data.strings.device_sampling import xp as torch_namespace
from tests.string_examples import (
    DRAWS,
    LOOKUPS,
    TASKS,
    Draw,
    check_example,
    chi_square,
    chi_square_bound,
    few_tasks,
    tasks,
    valid_places,
)

both = pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
each = pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)


# ---- against plain loops


@pytest.mark.parametrize("xp", [numpy_namespace, torch_namespace], ids=["numpy", "torch"])
@given(data=st.data(), width=st.integers(1, 12))
def test_both_ways_to_rank_ngrams_find_what_a_loop_finds(xp: Any, data: st.DataObject, width: int) -> None:
    """The comparison in pairs is used on a GPU, in place of the sort."""
    count = data.draw(st.integers(1, 3))
    codes = data.draw(arrays(np.int64, (count, width), elements=st.integers(-1, 6)))
    begins = data.draw(arrays(np.bool_, (count, width)))
    expected = []
    for row, may_begin in zip(codes.tolist(), begins.tolist(), strict=True):
        keys = sorted(c for c, b in zip(row, may_begin, strict=True) if b and row.count(c) == 1)
        expected.append({row.index(code): rank for rank, code in enumerate(keys)})
    for ranked in (ranked_by_sorting, ranked_by_comparison):
        order, possible, rank = (np.asarray(x) for x in ranked(xp, xp.asarray(codes), xp.asarray(begins)))
        assert [
            dict(zip(o[p].tolist(), r[p].tolist(), strict=True))
            for o, p, r in zip(order, possible, rank, strict=True)
        ] == expected


@both
@each
@settings(deadline=None, max_examples=30)
@given(data=st.data(), seed=st.integers(0, 2**64 - 1), count=st.integers(1, 12))
def test_an_example_is_what_plain_loops_find(
    kind: type[StringTask], draw: Draw, data: st.DataObject, seed: int, count: int
) -> None:
    # few on the device, since it is measured for each how rare valid examples are
    task = data.draw(tasks(kind) if draw is DRAWS["numpy"] else st.sampled_from(few_tasks(kind)))
    drawn = draw(task, count, seed)
    assert len(drawn) == count
    for text, scored, key in drawn:
        _, answer = check_example(task, text, key)
        assert scored == answer + "."
        assert len(text) <= longest_example(task)


@both
@pytest.mark.parametrize(
    "task",
    [
        PrefixNgram(4, 4, 2, n=1),
        SuffixNgram(7, 40, 2, n=4),
        PrefixNgram(16, 20, n=13),
        SuffixNgram(65, 70, 2, n=62),
        PrefixNgram(30, 30, n=1, k=5),
        DuplicateNgram(2, 2, 2, n=1),
        DuplicateNgram(26, 30, n=13),
        Copy(1, 1, 1),
        Copy(3, 9, k=2),
        Reverse(1, 1, 1),
    ],
    ids=lambda task: f"{task.name}-{task.vocabulary}-{task.max_length}",
)
def test_examples_at_the_edges(task: StringTask, draw: Draw) -> None:
    for text, _, key in draw(task, 50, 0):
        check_example(task, text, key)


@pytest.mark.parametrize("task", [Copy(5, 20), Copy(5, 20, k=3), PrefixNgram(6, 20), SuffixNgram(6, 20, n=1)])
def test_the_longest_example_occurs(task: StringTask) -> None:
    drawn = DRAWS["numpy"](task, 2_000, 0)
    assert max(len(text) for text, _, _ in drawn) == longest_example(task)


# ---- distributions


@both
@each
def test_lengths_are_uniform(kind: type[StringTask], draw: Draw) -> None:
    task = kind(6, 15, 2)
    # the string is the longest part, or as long as another
    counts = Counter(max(map(len, text[1:-1].split("|"))) for text, _, _ in draw(task, 4_000, 0))
    assert chi_square(counts, dict.fromkeys(range(6, 16), 400)) < chi_square_bound(10)


@both
def test_letters_are_uniform_at_every_place(draw: Draw) -> None:
    strings = [text[1:5] for text, _, _ in draw(Copy(4, 4), 26_000, 0)]
    for place in range(4):
        counts = Counter(string[place] for string in strings)
        expected = dict.fromkeys("abcdefghijklmnopqrstuvwxyz", 1000)
        assert chi_square(counts, expected) < chi_square_bound(26)
    pairs = Counter(string[:2] for string in strings)
    every = ("".join(pair) for pair in product("abcdefghijklmnopqrstuvwxyz", repeat=2))
    assert chi_square(pairs, dict.fromkeys(every, 26_000 / 676)) < chi_square_bound(676)


@both
@pytest.mark.parametrize("kind", LOOKUPS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(("vocabulary", "length", "n", "k"), [(2, 7, 2, 1), (3, 6, 2, None)])
def test_strings_and_places_are_as_enumerated(
    kind: Any, draw: Draw, vocabulary: int, length: int, n: int, k: int | None
) -> None:
    strings = ["".join(letters) for letters in product("abc"[:vocabulary], repeat=length)]
    valid = {string: valid_places(string, n, k) for string in strings}
    possible = [string for string in strings if valid[string]]
    assert len(possible) < len(strings)
    mean = 20 if vocabulary == 3 else 60
    expected = {
        (string, string[place : place + n]): mean / len(valid[string])
        for string in possible
        for place in valid[string]
    }
    task = kind(length, length, vocabulary, n=n, k=k)
    drawn = draw(task, mean * len(possible), 0)
    place_of_string = 1 if kind is PrefixNgram else 0
    counts = Counter((text[1:].split("|")[place_of_string], key) for text, _, key in drawn)
    assert chi_square(counts, expected) < chi_square_bound(len(expected))


@both
def test_duplicates_are_as_enumerated(draw: Draw) -> None:
    n, length = 2, 5
    made: Counter[tuple[str, str]] = Counter()
    for letters in product("ab", repeat=length):
        string = "".join(letters)
        for at, again in product(range(length - n + 1), repeat=2):
            key = string[at : at + n]
            if abs(at - again) >= n and key != string[again : again + n]:
                made[string[:again] + key + string[again + n :], key] += 1
    count = 200 * len(made)
    drawn = draw(DuplicateNgram(length, length, 2, n=n), count, 0)
    counts = Counter((text[1 : 1 + length], key) for text, _, key in drawn)
    expected = {case: count * times / made.total() for case, times in made.items()}
    assert chi_square(counts, expected) < chi_square_bound(len(expected))


@each
def test_both_ways_give_other_examples(kind: type[StringTask]) -> None:
    texts = [{text for text, _, _ in draw(kind(20, 20), 100, 11)} for draw in DRAWS.values()]
    assert not texts[0] & texts[1]


def test_raw_bits_are_scaled_as_documented() -> None:
    raw = np.random.Philox(key=7).random_raw(1000)
    bounds = np.arange(1, 1001)
    expected = [(int(bits) >> 32) * bound >> 32 for bits, bound in zip(raw, bounds.tolist(), strict=True)]
    assert NumpyRandomIntegers(np.random.Philox(key=7), 1000).integers(bounds).tolist() == expected
    assert np.random.Philox(key=5).random_raw() == 13535223855206698129  # the same in every version of NumPy


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cpy", 5, 5), "one of copy, .*, not 'cpy'; did you mean 'copy'"),
        (("copy", 0, 0), "^length must be an integer of at least 1, not 0"),
        (("copy", 0, 5), "min_length must be an integer of at least 1, not 0"),
        (("copy", 5, 4), "max_length = 4 is smaller than min_length = 5"),
        (("copy", 5.0, 5), "not 5.0"),
        (("copy", 5, 10_001), "max_length must be at most 10000"),
        (("copy", 5, 5, 0), "vocabulary must be an integer of at least 1, not 0"),
        (("copy", 5, 5, True), "not True"),
        (("copy", 5, 9, 26, {"k": 6}), "copy with k = 6 needs strings of at least 6 letters, not 5"),
        (("copy", 5, 5, 26, {"k": 0}), "k must be an integer of at least 1, not 0"),
        (("copy", 5, 5, 26, {"n": 2}), "copy has no setting 'n'; it has k"),
        (("reverse", 5, 5, 26, {"k": 2}), "reverse has no setting 'k'; it has none"),
        (("prefix_ngram", 5, 5, 26, {"n": 0}), "n must be an integer of at least 1, not 0"),
        (("prefix_ngram", 5, 5), "prefix_ngram with n = 3 needs strings of at least 6 letters, not 5"),
        (("suffix_ngram", 8, 8, 26, {"k": 3}), "n = 3 and k = 3 needs strings of at least 9 letters, not 8"),
        (("suffix_ngram", 50, 50, 26, {"n": 14}), "n-grams of 14 do not fit in 64 bits"),
        (("prefix_ngram", 8, 8, 1), "vocabulary of at least 2"),
        (("duplicate_ngram", 9, 9, 1), "vocabulary of at least 2"),
        (("suffix_ngram", 9, 9, 26, {"k": 0}), "k must be an integer of at least 1, not 0"),
        (("duplicate_ngram", 9, 9, 26, {"n": 0}), "n must be an integer of at least 1, not 0"),
        (("duplicate_ngram", 5, 5), "at least 6 letters, not 5"),
        (("duplicate_ngram", 9, 9, 26, {"k": 2}), "duplicate_ngram has no setting 'k'.*; it has n"),
    ],
)
def test_a_task_that_cannot_be_is_refused(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        string_task(*arguments)


@pytest.mark.parametrize(("shortest", "vocabulary", "n"), [(500, 26, 1), (100, 2, 2), (4, 2, 1)])
def test_a_search_without_end_is_ended(shortest: int, vocabulary: int, n: int) -> None:
    task = SuffixNgram(shortest, 500, vocabulary, n=n)
    with pytest.raises(InputError, match=r"of \d+ strings of (\d+ to )?500 letters, \d+ contain an n-gram"):
        sample(task, 20, np.random.Philox(key=0))
