"""Documents of the phone book, compared with the package names and with plain rules."""

import math
import random
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import names
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.benchmark import Config
from dataset_builders.checksum import content_sha256
from dataset_builders.phone_book import BENCHMARK, rows
from dataset_builders.release.checksums import known_checksums
from dataset_builders.sources.census_names import full_name


def test_names_are_those_of_the_package_names_call_for_call() -> None:
    random.seed(7)
    theirs = [names.get_full_name() for _ in range(300)]
    rng = random.Random(7)
    assert [full_name(rng) for _ in range(300)] == theirs


class _Draws(random.Random):
    """A random generator with known draws."""

    def __init__(self, gender: str, draws: list[float]) -> None:
        super().__init__()
        self.gender, self.draws = gender, iter(draws)

    def choice(self, options: object) -> str:
        return self.gender

    def random(self) -> float:
        return next(self.draws)


@pytest.mark.parametrize(
    ("key", "gender", "position"),
    [("first:male", "male", 0), ("first:female", "female", 0), ("last", "male", 1)],
)
def test_every_name_is_drawn_where_the_package_names_draws_it(key: str, gender: str, position: int) -> None:
    """``names`` takes the first line whose cumulative frequency is above 90 times the random number."""
    lines = [line.split() for line in Path(names.FILES[key]).read_text().splitlines()]
    table = [(float(cumulative), name.capitalize()) for name, _, cumulative, _ in lines]
    at = sorted({min(cumulative / 90, math.nextafter(1, 0)) for cumulative, _ in table})
    draws = sorted(
        draw for value in at for draw in (math.nextafter(value, 0), value, math.nextafter(value, 1))
    )
    place = 0
    for draw in (draw for draw in draws if draw < 1):
        while table[place][0] <= draw * 90:
            place += 1
        both = [0.5, draw] if position else [draw, 0.5]
        assert full_name(_Draws(gender, both)).split()[position] == table[place][1]


@given(entries=st.integers(3, 60), seed=st.integers(-(2**40), 2**40), index=st.integers(0, 5))
def test_a_document_is_a_book_two_examples_and_a_query(entries: int, seed: int, index: int) -> None:
    row = next(islice(rows(entries, 6, seed), index, None))
    book, examples, query = row["prompt"].split("\n\n")
    lines = book.split("\n")
    people = [line.split(": ")[0] for line in lines]
    assert len(lines) == len(set(people)) == entries == row["entries"]
    assert all(re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+: [6-9][0-9]{9}", line) for line in lines)
    asked = lines[row["query_position"]]
    assert f"{query} {row['answer']}" == asked
    shown = examples.split("\n")
    assert len({*shown, asked}) == 3
    assert set(shown) < set(lines)


@given(entries=st.integers(3, 12), count=st.integers(1, 8), more=st.integers(0, 8))
def test_more_documents_change_none(entries: int, count: int, more: int) -> None:
    few, many = list(rows(entries, count, 3)), list(rows(entries, count + more, 3))
    assert many[:count] == few


def test_sizes_and_seeds_are_independent() -> None:
    first = {row["prompt"].split(":")[0] for n in range(3, 40) for row in rows(n, 1, 0)}
    assert len(first) > 30
    assert next(rows(20, 1, 0))["prompt"] != next(rows(20, 1, 1))["prompt"]


def test_books_of_several_sizes_can_be_made_at_the_same_time() -> None:
    """The checksums of the release are compared in a process with its own hash seed each time."""
    together = list(zip(rows(20, 3, 5), rows(60, 3, 5), strict=True))
    assert list(zip(list(rows(20, 3, 5)), list(rows(60, 3, 5)), strict=True)) == together


def test_queries_and_digits_are_uniform() -> None:
    documents = list(rows(10, 4000, 1))
    positions = Counter(row["query_position"] for row in documents)
    assert all(abs(positions[i] - 400) < 5 * 400**0.5 for i in range(10))
    leading = Counter(row["answer"][0] for row in documents)
    assert set(leading) == set("6789")
    assert all(abs(count - 1000) < 5 * 1000**0.5 for count in leading.values())
    last = Counter(row["answer"][-1] for row in documents)
    assert all(abs(last[digit] - 400) < 5 * 400**0.5 for digit in "0123456789")


def is_large(config: Config) -> bool:
    return config.arguments["entries"] > 200


@pytest.mark.parametrize(
    "config",
    [pytest.param(c, marks=[pytest.mark.slow] * is_large(c), id=c.name) for c in BENCHMARK.configs()],
)
def test_the_released_checksums_are_those_of_the_documents(config: Config) -> None:
    documents = list(rows(**config.arguments))
    assert list(documents[0]) == list(BENCHMARK.columns)
    assert content_sha256(documents) == known_checksums()[config.name]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((2, 10, 0), "entries must be an integer of at least 3, not 2"),
        ((20, 0, 0), "num_docs must be an integer of at least 1, not 0"),
        ((20.5, 1, 0), "not 20.5"),
        (("20", 1, 0), "not '20'"),
        ((True, 1, 0), "not True"),
        ((20, 1, "x"), "seed must be an integer, not 'x'"),
        ((10**9, 1, 0), "at most 1000000"),
    ],
)
def test_bad_sizes_are_refused_at_once(arguments, named: str) -> None:
    with pytest.raises(InputError, match=named):
        rows(*arguments)


def test_checksum_knows_order_and_content_not_key_order() -> None:
    a, b = {"x": 1, "y": "é"}, {"x": 2, "y": ""}
    assert content_sha256([a, b]) == content_sha256([{"y": "é", "x": 1}, b])
    assert len({content_sha256(rows) for rows in ([a, b], [b, a], [a], [a, {**b, "x": 3}])}) == 4


@pytest.mark.parametrize(("position", "entry"), [(0, 0), (0.5, 10), (1.0, 20), (0.26, 5)])
def test_one_position_is_queried_in_the_same_books(position: float, entry: int) -> None:
    documents, others = list(rows(21, 8, position=position)), list(rows(21, 8))
    assert {row["query_position"] for row in documents} == {entry}
    for row, other in zip(documents, others, strict=True):
        book, examples, query = row["prompt"].split("\n\n")
        assert book == other["prompt"].split("\n\n")[0]
        line = book.split("\n")[entry]
        assert line == f"{query} {row['answer']}" and line not in examples
        assert len(set(examples.split("\n"))) == 2
        assert row["id"] == f"{other['id']}/entry_{entry}"


def test_examples_beside_a_position_are_uniform() -> None:
    examples: Counter[int] = Counter()
    for row in rows(4, 300, position=1):
        book, shown, _ = row["prompt"].split("\n\n")
        examples.update(book.split("\n").index(line) for line in shown.split("\n"))
    assert set(examples) == {0, 1, 2}
    assert all(abs(count - 200) < 5 * 200**0.5 for count in examples.values())


def test_positions_are_taken_in_turn() -> None:
    documents = list(rows(21, 7, position=[0, 0.5, 1]))
    assert [row["query_position"] for row in documents] == [0, 10, 20, 0, 10, 20, 0]
    assert [row["query_position"] for row in rows(5, 4, position=[0, 0.01, 1])] == [0, 4, 0, 4]
    assert next(iter(rows(21, 1, position=[0.5, 0]))) == next(iter(rows(21, 1, position=0.5)))


@pytest.mark.parametrize("entries", [5, 20, 25])
def test_stratified_documents_take_the_tenths_in_turn(entries: int) -> None:
    """All entries are still queried with the same probability."""
    documents = list(rows(entries, 2000, position="stratified"))
    books = [row["prompt"].split("\n\n")[0] for row in documents[:5]]
    assert books == [row["prompt"].split("\n\n")[0] for row in rows(entries, 5)]
    for index, row in enumerate(documents):
        assert entries * (index % 10) / 10 - 1 < row["query_position"] < entries * (index % 10 + 1) / 10
    counts = Counter(row["query_position"] for row in documents)
    expected = 2000 / entries
    assert all(abs(counts[i] - expected) < 5 * expected**0.5 for i in range(entries))
    if entries % 10 == 0:
        assert set(Counter(row["query_position"] * 10 // entries for row in documents).values()) == {200}
    assert len({row["id"] for row in documents}) == 2000


@pytest.mark.parametrize("position", [-0.1, 1.5, True, "0.5", float("nan"), [], [0, 2], [0, "1"], {}])
def test_other_positions_are_refused(position: object) -> None:
    with pytest.raises(InputError, match="position must be a number from 0 .*, a list of these, or 'stratif"):
        rows(20, 1, position=position)
