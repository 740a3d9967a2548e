"""Examples drawn by tensors: against plain loops, enumeration, and the samples of ``dataset_builders``."""

from collections import Counter as Tally
from dataclasses import fields, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.strings import LOOKUPS, TASKS, Definition, sample
from synthetic_training.data.strings import PackedBatches, Rows, evaluation_rows, prompts_left_padded
from synthetic_training.data.strings.examples import Examples, sample_on_device, tries_needed
from synthetic_training.data.strings.philox import Counter
from synthetic_training.data.tokens import decode
from tests.test_strings import (
    chi_square,
    chi_square_bound,
    definitions,
    draw,
    places_of,
    solve,
    spelled,
    valid_places,
)


def sampled(definition: Definition, rows: int, examples: int, seed: int = 0, tries: int = 0) -> Examples:
    counter = Counter(seed, 0, torch.arange(rows), 0)
    width = examples * definition.max_length
    return sample_on_device(definition, examples, width, tries or tries_needed(definition), counter)


def strings_of(drawn: Examples) -> list[list[str]]:
    rows = zip(drawn.letters.tolist(), drawn.starts.tolist(), drawn.lengths.tolist(), strict=True)
    return [
        ["".join(chr(97 + letter) for letter in letters[at : at + n]) for at, n in zip(*places, strict=True)]
        for letters, *places in rows
    ]


def check_examples(definition: Definition, drawn: Examples) -> None:
    for row, strings in enumerate(strings_of(drawn)):
        end_before = 0
        for e, string in enumerate(strings):
            places = (drawn.starts, drawn.key_at, drawn.again_at, drawn.answer_at, drawn.answer_end)
            start, at, again, answer_at, answer_end = (int(place[row, e]) for place in places)
            assert start == end_before
            end_before += len(string)
            assert definition.min_length <= len(string) <= definition.max_length
            assert set(string) <= set("abcdefghijklmnopqrstuvwxyz"[: definition.vocabulary])
            expected = string
            if definition.name in LOOKUPS:
                assert at in valid_places(string, definition.n, definition.k)
                expected = string[at + definition.n :]
            elif definition.name == "duplicate_ngram":
                assert {at, again} <= set(places_of(string[at : at + definition.n], string))
                assert abs(at - again) >= definition.n
            assert (at == -1) == (definition.name == "copy")
            assert (again == -1) == (definition.name != "duplicate_ngram")
            assert string[answer_at:answer_end] == expected[: definition.k]
            assert answer_end - answer_at == (definition.k or len(expected)) > 0


@pytest.mark.parametrize("task", TASKS)
@settings(deadline=None, max_examples=40)
@given(data=st.data(), seed=st.integers(0, 2**64 - 1), rows=st.integers(1, 4), examples=st.integers(1, 6))
def test_an_example_is_what_plain_loops_find(
    task: str, data: st.DataObject, seed: int, rows: int, examples: int
) -> None:
    definition = data.draw(definitions(task))
    check_examples(definition, sampled(definition, rows, examples, seed, tries=8))


@pytest.mark.parametrize(
    "definition",
    [
        Definition("prefix_ngram", 2, 2, vocabulary=2, n=1),
        Definition("suffix_ngram", 5, 40, vocabulary=2, n=4),
        Definition("prefix_ngram", 14, 20, n=13),
        Definition("suffix_ngram", 63, 70, vocabulary=2, n=62),
        Definition("prefix_ngram", 30, 30, n=1, k=5),
        Definition("duplicate_ngram", 2, 2, vocabulary=2, n=1),
        Definition("duplicate_ngram", 26, 30, n=13),
        Definition("copy", 1, 1, vocabulary=1),
        Definition("copy", 3, 9, k=2),
    ],
    ids=lambda d: f"{d.name}-{d.vocabulary}-{d.n}-{d.max_length}",
)
def test_examples_at_the_edges(definition: Definition) -> None:
    check_examples(definition, sampled(definition, 8, 8))


@pytest.mark.parametrize(("n", "k"), [(1, 2), (2, None)])
@pytest.mark.parametrize("task", [*LOOKUPS, "duplicate_ngram"])
def test_an_example_is_right_even_where_no_try_was(task: str, n: int, k: int | None) -> None:
    k = None if task == "duplicate_ngram" else k
    definition = Definition(task, 6, 8, vocabulary=2, n=n, k=k)
    drawn = sampled(definition, 60, 3, tries=1)
    check_examples(definition, drawn)
    if task in LOOKUPS:
        assert any(string == "b" + "a" * (len(string) - 1) for row in strings_of(drawn) for string in row)


# ---- distributions


@pytest.mark.parametrize("task", TASKS)
def test_lengths_are_uniform(task: str) -> None:
    lengths = sampled(Definition(task, 6, 15, vocabulary=2), 2_500, 4).lengths
    for e in range(4):
        counts = Tally(lengths[:, e].tolist())
        assert chi_square(counts, dict.fromkeys(range(6, 16), 250)) < chi_square_bound(10)


def test_letters_are_uniform_at_every_place() -> None:
    letters = sampled(Definition("copy", 4, 4), 13_000, 2).letters
    for place in range(8):
        counts = Tally(letters[:, place].tolist())
        assert chi_square(counts, dict.fromkeys(range(26), 500)) < chi_square_bound(26)
    for one, other in ((0, 1), (3, 4), (0, 7)):
        pairs = Tally(zip(letters[:, one].tolist(), letters[:, other].tolist(), strict=True))
        expected = dict.fromkeys(product(range(26), repeat=2), 13_000 / 676)
        assert chi_square(pairs, expected) < chi_square_bound(676)


@pytest.mark.parametrize("task", LOOKUPS)
@pytest.mark.parametrize(("vocabulary", "length", "n", "k"), [(2, 4, 2, None), (2, 5, 1, 2), (3, 5, 2, 1)])
def test_strings_and_places_are_as_enumerated(
    task: str, vocabulary: int, length: int, n: int, k: int | None
) -> None:
    strings = ["".join(letters) for letters in product("abc"[:vocabulary], repeat=length)]
    valid = {string: valid_places(string, n, k) for string in strings}
    possible = [string for string in strings if valid[string]]
    assert len(possible) < len(strings)
    expected = {(string, place): 100 / len(valid[string]) for string in possible for place in valid[string]}
    drawn = sampled(Definition(task, length, length, vocabulary, n, k), 25 * len(possible), 4)
    made = zip(strings_of(drawn), drawn.key_at.tolist(), strict=True)
    counts = Tally(case for row in made for case in zip(*row, strict=True))
    assert chi_square(counts, expected) < chi_square_bound(len(expected))


def test_duplicates_are_as_enumerated() -> None:
    n, length = 2, 5
    made: Tally[tuple[str, int, int]] = Tally()
    for letters in product("ab", repeat=length):
        string = "".join(letters)
        for at, again in product(range(length - n + 1), repeat=2):
            key = string[at : at + n]
            if abs(at - again) >= n and key != string[again : again + n]:
                made[string[:again] + key + string[again + n :], at, again] += 1
    count = 200 * len(made)
    drawn = sampled(Definition("duplicate_ngram", length, length, vocabulary=2, n=n), count, 1)
    cases = zip(strings_of(drawn), drawn.key_at.tolist(), drawn.again_at.tolist(), strict=True)
    counts = Tally((strings[0], at[0], again[0]) for strings, at, again in cases)
    expected = {case: count * times / made.total() for case, times in made.items()}
    assert chi_square(counts, expected) < chi_square_bound(len(expected))


@pytest.mark.parametrize("task", TASKS)
def test_the_distribution_is_that_of_the_documents(task: str) -> None:
    definition = Definition(task, 4, 6, vocabulary=2, n=2)
    count = 12_000
    numpy_drawn = sample(definition, count, np.random.Philox(key=11))
    places = zip(numpy_drawn.key_at.tolist(), numpy_drawn.again_at.tolist(), strict=True)
    documents = Tally((spelled(numpy_drawn, i), *place) for i, place in enumerate(places))
    drawn = sampled(definition, count // 3, 3)
    columns = (strings_of(drawn), drawn.key_at.tolist(), drawn.again_at.tolist())
    here = Tally(case for row in zip(*columns, strict=True) for case in zip(*row, strict=True))
    cases = set(documents) | set(here)
    statistic = sum((documents[case] - here[case]) ** 2 / (documents[case] + here[case]) for case in cases)
    assert statistic < chi_square_bound(len(cases))


def test_documents_and_examples_are_not_the_same_ones() -> None:
    definition = Definition("copy", 20, 20)
    documents = draw(definition, 100)
    here = {row[0] for row in strings_of(sampled(definition, 100, 1))}
    assert not here & {spelled(documents, i) for i in range(100)}


# ---- tries


@pytest.mark.parametrize(
    ("definition", "rate"),
    [
        (Definition("prefix_ngram", 5, 5, vocabulary=2, n=1, k=2), 6 / 32),
        (Definition("suffix_ngram", 4, 4, vocabulary=2, n=2), 12 / 16),
        (Definition("duplicate_ngram", 2, 2, vocabulary=2, n=1), 1 / 2),
        (Definition("copy", 1, 5), 1),
    ],
)
def test_tries_fail_as_seldom_as_documented(definition: Definition, rate: float) -> None:
    if definition.name in LOOKUPS:
        strings = product("ab", repeat=definition.max_length)
        found = [bool(valid_places("".join(s), definition.n, definition.k)) for s in strings]
        assert np.mean(found) == rate
    tries = tries_needed(definition)
    assert (1 - rate) ** tries <= 1e-12
    assert tries == 1 or (1 - rate) ** (0.85 * tries) > 1e-12


@pytest.mark.parametrize(("shortest", "vocabulary", "n"), [(500, 26, 1), (100, 2, 2), (4, 2, 1)])
def test_strings_that_are_too_rare_are_refused(shortest: int, vocabulary: int, n: int) -> None:
    definition = Definition("suffix_ngram", shortest, 500, vocabulary, n)
    with pytest.raises(InputError, match=r"of \d+ strings of \d+ letters, \d+ hold an n-gram"):
        PackedBatches(definition, 2048, 1, 0)
    with pytest.raises(InputError, match="take a larger n"):
        evaluation_rows(definition, 1, 0, "cpu")


# ---- evaluation rows


def text_of(tokens: list[int], mask: list[int]) -> str:
    return decode([token for token, kept in zip(tokens, mask, strict=True) if kept])


@pytest.mark.parametrize("sizes", [(8, 20, 26, 3), (9, 9, 3, 2), (8, 12, 2, 4)])
@pytest.mark.parametrize(("task", "k"), [*product(TASKS[:3], [None, 1, 4]), ("duplicate_ngram", None)])
@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**64 - 1), count=st.integers(1, 8))
def test_a_row_holds_an_example_and_where_it_is_scored(
    task: str, k: int | None, sizes: tuple[int, int, int, int], seed: int, count: int
) -> None:
    definition = Definition(task, *sizes, k)
    rows = evaluation_rows(definition, count, seed, "cpu")
    prompts, prompt_mask = prompts_left_padded(rows)
    assert prompts.shape == prompt_mask.shape == (count, int(rows.prompt_length.max()))
    for i in range(count):
        text = text_of(rows.input_ids[i].tolist(), rows.attention_mask[i].tolist())
        prompt_length, answer_length = int(rows.prompt_length[i]), int(rows.answer_length[i])
        prompt, answer = text[:prompt_length], text[prompt_length:]
        assert answer == solve(prompt, "symbols", task, definition.k)
        assert len(answer) == answer_length + 1
        assert decode(rows.input_ids[i]) == text.ljust(rows.input_ids.shape[1], "*")
        assert decode(prompts[i]) == prompt.rjust(prompts.shape[1], "*")
        assert prompt_mask[i].tolist() == [0] * (prompts.shape[1] - len(prompt)) + [1] * len(prompt)
        targets = [-100] * rows.input_ids.shape[1]
        targets[prompt_length - 1 : prompt_length + answer_length] = [
            "abcdefghijklmnopqrstuvwxyz$|.*".index(symbol) for symbol in answer
        ]
        assert rows.targets[i].tolist() == targets
        scored = [i for i, target in enumerate(targets) if 0 <= target < 26]
        assert rows.answer_letters[i].nonzero()[:, 0].tolist() == scored
        check_places(definition, prompt, int(rows.key_at[i]), int(rows.again_at[i]))


def check_places(definition: Definition, prompt: str, key_at: int, again_at: int) -> None:
    parts = prompt.removeprefix("$").split("|")
    if definition.name == "copy":
        assert (key_at, again_at) == (-1, -1)
    elif definition.name == "duplicate_ngram":
        string, n = parts[0], definition.n
        assert string[key_at : key_at + n] == string[again_at : again_at + n]
        assert abs(key_at - again_at) >= n
    else:
        key, string = (parts[0], parts[1]) if definition.name == "prefix_ngram" else parts[::-1]
        assert places_of(key, string) == [key_at]
        assert len(key) == definition.n
        assert again_at == -1


def test_a_row_as_documented() -> None:
    definition = Definition("suffix_ngram", 20, 20)
    rows = evaluation_rows(definition, 1, 0, "cpu")
    text = decode(rows.input_ids[0]).rstrip("*")
    string, rest = text[1:-1].split("|")
    at = int(rows.key_at[0])
    assert text[0] == "$" and text[-1] == "."
    assert rest == string[at:]
    assert rows.prompt_length.tolist() == [1 + 20 + 1 + 3]
    assert rows.answer_length.tolist() == [20 - 3 - at]


def values(rows: Rows) -> list[Any]:
    return [getattr(rows, field.name) for field in fields(rows)]


@pytest.mark.parametrize("task", TASKS)
def test_a_row_depends_on_its_number_alone(task: str) -> None:
    definition = Definition(task, 10, 20)
    whole = evaluation_rows(definition, 12, 5, "cpu")
    part = evaluation_rows(definition, 4, 5, "cpu", first=7)
    assert all(torch.equal(a[7:11], b) for a, b in zip(values(whole), values(part), strict=True))


def test_rows_differ_between_seeds_lengths_and_from_training() -> None:
    definition = Definition("copy", 20, 20)
    made = [
        evaluation_rows(definition, 50, 0, "cpu").input_ids,
        evaluation_rows(definition, 50, 1, "cpu").input_ids,
        evaluation_rows(replace(definition, max_length=21), 50, 0, "cpu").input_ids,
        evaluation_rows(replace(definition, vocabulary=25), 50, 0, "cpu").input_ids,
        PackedBatches(definition, 43, 50, 0).batch(0).input_ids,
        PackedBatches(definition, 43, 50, 0).batch(1).input_ids,
        PackedBatches(definition, 43, 50, 1).batch(0).input_ids,
    ]
    beginnings = [decode(row[1:9]) for rows in made for row in rows]
    assert len(set(beginnings)) == 7 * 50


@pytest.mark.parametrize(
    ("count", "first", "seed", "said"),
    [(0, 0, 0, "count must be"), (1, -1, 0, "first must be"), (2, 2**32 - 1, 0, "first"), (1, 0, -1, "seed")],
)
def test_rows_that_cannot_be_are_refused(count: int, first: int, seed: int, said: str) -> None:
    with pytest.raises(InputError, match=said):
        evaluation_rows(Definition("copy", 5, 5), count, seed, "cpu", first)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("task", TASKS)
def test_rows_are_the_same_on_a_gpu(task: str) -> None:
    definition = Definition(task, 10, 300)
    here, there = (evaluation_rows(definition, 64, 5, device) for device in ("cpu", "cuda"))
    assert all(torch.equal(a, b.cpu()) for a, b in zip(values(here), values(there), strict=True))
