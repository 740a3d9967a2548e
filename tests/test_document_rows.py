"""Rows of documents: their content, what is predicted in them, and invalid mixes."""

import re
from collections import Counter
from itertools import pairwise, permutations
from random import Random
from typing import Any

import numpy as np
import pytest

from dataset_builders import InputError
from synthetic_training.data.documents.byte_tokenizer import END_ID
from synthetic_training.data.documents.draws import log_uniform, sample
from synthetic_training.data.documents.kinds import KINDS
from synthetic_training.data.documents.rows import FIRST, PREDICTED, TOKEN, Mix, make_rows, row
from tests.document_texts import as_benchmark
from tests.string_examples import chi_square, chi_square_bound


def documents_of(codes: np.ndarray) -> list[str]:
    """The texts between the separators of a row; the last may be cut off."""
    tokens = codes & TOKEN
    ends = [-1, *np.flatnonzero(tokens == END_ID).tolist(), len(tokens)]
    parts = [bytes(tokens[a + 1 : b].astype(np.uint8)) for a, b in pairwise(ends)]
    return [part.decode(errors="ignore") for part in parts if part]


def test_a_row_holds_documents_one_after_the_other_and_asks_for_what_they_ask() -> None:
    mix = Mix({"phone_book": 1}, context_length=1000, context_loss_weight=0.0)
    for number in range(30):
        codes, whole = row(mix, number)
        assert codes.shape == (1000,)
        texts = documents_of(codes)
        ended = [text for text in texts if text.count("\n\n") == 2 and text.endswith("\n")]
        assert whole == len(ended) >= len(texts) - 1
        for text in ended:
            as_benchmark(text)
        asked = (codes & PREDICTED) > 0
        expected = np.zeros(1000, dtype=bool)
        at = 0
        for text in texts:
            listed = text.find("\n\n")
            for match in re.finditer(r"(?<=:)( \d{0,10}\n?)", text):
                if listed != -1 and match.start() > listed:
                    expected[at + match.start() : at + match.end()] = True
            at += len(text) + 1
        assert asked.tolist() == expected.tolist()
        first = np.flatnonzero(codes & FIRST).tolist()
        assert first == [0, *(np.flatnonzero((codes & TOKEN) == END_ID) + 1).tolist()][: len(first)]
        assert len(first) == len(texts)


def test_a_row_depends_on_its_number_alone_however_many_processes_there_are() -> None:
    mix = Mix({"phone_book": 1, "copy_random": 2}, context_length=256, seed=5)
    many = make_rows(mix, 600)
    few = make_rows(mix, 3)
    assert np.array_equal(few.codes, many.codes[:3]) and np.array_equal(few.whole, many.whole[:3])
    assert np.array_equal(row(mix, 599)[0], many.codes[599])
    assert len({codes.tobytes() for codes in many.codes}) == 600
    assert not np.array_equal(row(Mix(mix.weights, 256, 6), 0)[0], few.codes[0])


def test_the_order_of_the_weights_and_their_unit_change_nothing() -> None:
    one, other = (
        Mix({"strings": 1, "lookup": 3}, 500),
        Mix({"lookup": 0.75, "phone_book": 0, "strings": 0.25}, 500),
    )
    assert all(np.array_equal(row(one, i)[0], row(other, i)[0]) for i in range(10))
    alike = dict.fromkeys(KINDS, 2.0)
    assert np.array_equal(row(Mix({}, 500), 1)[0], row(Mix(alike, 500), 1)[0])


def test_long_phone_books_occur_whole() -> None:
    mix = Mix({"phone_book": 1})
    books = [text for number in range(60) for text in documents_of(row(mix, number)[0])]
    sizes = [text.split("\n\n")[0].count("\n") + 1 for text in books if text.count("\n\n") == 2]
    assert sum(size >= 100 for size in sizes) >= 10
    assert sum(size <= 10 for size in sizes) >= 10
    assert max(sizes) >= 120


def test_log_uniform_integers_include_both_ends() -> None:
    rng = Random(0)
    counts = Counter(log_uniform(rng, 3, 8) for _ in range(3000))
    expected = {n: 3000 * np.log((n + 1) / n) / np.log(3) for n in range(3, 9)}
    assert chi_square(counts, expected) < chi_square_bound(len(expected))


def test_samples_are_drawn_in_every_order_equally_often() -> None:
    rng = Random(0)
    counts = Counter(tuple(sample(rng, 4, 3)) for _ in range(2400))
    expected = dict.fromkeys(permutations(range(4), 3), 100.0)
    assert chi_square(counts, expected) < chi_square_bound(len(expected))


def test_every_second_row_begins_with_a_long_document_and_other_sizes_are_log_uniform() -> None:
    mix = Mix({"copy_random": 1}, context_length=1000)
    first, second = [], []
    for number in range(250):
        ends = np.flatnonzero((row(mix, number)[0] & TOKEN) == END_ID).tolist()
        first.append(min([*ends, 1000]))
        if ends and ends[0] < 800:
            second.append((min([*ends[1:], 1000]) - ends[0]) / (1000 - ends[0]))
    # half of them at least 500 bytes long; the others log-uniform from 30 to 1,000
    assert np.mean(np.array(first) > 480) == pytest.approx(0.5 + 0.5 * np.log(2) / np.log(1000 / 30), abs=0.1)
    assert np.mean(np.array(first) < 100) == pytest.approx(
        0.5 * np.log(100 / 30) / np.log(1000 / 30), abs=0.08
    )
    assert len(second) > 100 and np.mean(np.array(second) < 0.45) > 0.6


@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5, 1.0])
def test_of_what_is_not_asked_the_share_rest_is_predicted(weight: float) -> None:
    weights = {"copy_prose": 1.0}
    asked = (
        np.stack([row(Mix(weights, 2000, context_loss_weight=0.0), i)[0] for i in range(10)]) & PREDICTED > 0
    )
    predicted = (
        np.stack([row(Mix(weights, 2000, context_loss_weight=weight), i)[0] for i in range(10)]) & PREDICTED
        > 0
    )
    assert predicted[asked].all()
    assert predicted[~asked].mean() == pytest.approx(weight, abs=0.02 if 0 < weight < 1 else 0)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"weights": {"phonebook": 1}}, "unknown kind 'phonebook'; the kinds are "),
        ({"weights": {"lookup": 0, "strings": 0.0}}, "all weights of the mix are 0"),
        ({"weights": {"lookup": -1}}, "the weight of lookup in the mix must be at least 0, not -1"),
        ({"weights": {"lookup": float("nan")}}, "must be at least 0, not nan"),
        ({"weights": {"lookup": float("inf")}}, "must be at least 0, not inf"),
        (
            {"context_length": 100},
            "context_length = 100 is too short: documents of the kind phone_book need 230 tokens",
        ),
        ({"weights": {"copy_prose": 1}, "context_length": 29}, "of the kind copy_prose need 30"),
        ({"context_loss_weight": 1.1}, "context_loss_weight must be from 0 to 1, not 1.1"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_mixes_that_cannot_be_are_refused(arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        Mix(**arguments)


def test_the_shortest_context_of_each_kind_does() -> None:
    for kind, of_kind in KINDS.items():
        for number in range(20):
            assert row(Mix({kind: 1}, of_kind.least_bytes), number)[1] >= 1
