"""Windows of running text and their shuffled order, against all possible results with their probabilities."""

from collections import Counter
from collections.abc import Iterable
from itertools import chain, permutations
from random import Random

from dataset_builders.c4_copy import _shuffle, _window


def assert_drawn_from(found: Iterable[tuple[int, ...]], expected: list[tuple[int, ...]]) -> None:
    """The results have these probabilities, each result's proportional to how often it is in the list."""
    counts, weights = Counter(found), Counter(expected)
    assert set(counts) == set(weights)
    for result, weight in weights.items():
        mean = counts.total() * weight / len(expected)
        assert abs(counts[result] - mean) < 5 * mean**0.5, result


def test_a_window_is_at_any_position_in_the_joined_documents_with_equal_probability() -> None:
    documents, rng = ([1, 2], [3], [4, 5, 6]), Random(0)
    joined = [tuple(chain(*order)) for order in permutations(documents)]
    expected = [whole[start : start + 4] for whole in joined for start in range(3)]
    assert_drawn_from((tuple(_window(documents, 4, rng)) for _ in range(5000)), expected)
    assert documents == ([1, 2], [3], [4, 5, 6])
    assert {len(_window(documents, 6, rng)) for _ in range(20)} == {6}


class CountingRandom(Random):
    calls = 0

    def random(self) -> float:
        self.calls += 1
        return super().random()


def test_ten_documents_are_joined_or_as_many_as_a_window_needs() -> None:
    for size, tokens, joined in ((5, 3, 10), (5, 50, 10), (5, 51, 11), (1, 12, 12)):
        rng = CountingRandom(0)
        window = _window(tuple([i] * size for i in range(12)), tokens, rng)
        assert len(window) == tokens and max(Counter(window).values()) <= size
        assert rng.calls == joined + 1  # and the position


def test_every_order_is_equally_likely() -> None:
    rng, found = Random(0), []
    for _ in range(6000):
        ids = [1, 2, 3]
        _shuffle(ids, rng)
        found.append(tuple(ids))
    assert_drawn_from(found, list(permutations((1, 2, 3))))
