"""Phone books: find the number of one name in a book of N entries (arXiv 2402.01032, section 4).

One document of three entries, with the number of the queried name as the answer::

    Maria Jones: 8274910365
    Frank Ortiz: 6120938475        <- the book
    Helen Brown: 9038471625

    Helen Brown: 9038471625        <- two other entries of the book, as examples
    Maria Jones: 8274910365

    Frank Ortiz:                   <- the query; the answer is 6120938475

Unlike the code released with the paper, the names of one book are distinct, so that no query has two
answers.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from dataset_builders.benchmark import Benchmark, Card, Column, Evaluation, RandomAnswers, Row
from dataset_builders.checks import MAX_DOCUMENTS, check_integer
from dataset_builders.errors import InputError
from dataset_builders.lengths import Lengths
from dataset_builders.sources.census_names import full_name

MIN_ENTRIES = 3
"""Minimum number of entries: two examples and the query are three distinct entries."""

MAX_ENTRIES = 1_000_000
"""Maximum number of entries, far above any context window and far below the number of full names."""


STRATIFIED = "stratified"
"""Value of ``position`` for which documents query every tenth of the book equally often."""

_STRATA = 10

Position = float | Literal["stratified"] | list[float]


def rows(entries: int, num_docs: int = 500, seed: int = 0, position: Position | None = None) -> Iterator[Row]:
    """Documents 0 .. ``num_docs`` - 1 with books of ``entries`` entries.

    Document k depends only on ``(seed, entries, position, k)``: it does not change with the number of
    documents, other sizes, or the process and order in which documents are built. Its book is the same at
    every position.

    Args:
        entries: entries (lines) of a book, at least 3.
        num_docs: documents per size, at least 1.
        seed: any integer; the released benchmark has seed 0.
        position: which entry to query, from 0 (the first) to 1 (the last); documents take several positions
            in turn. With stratified, they take the tenths of the book in turn, and the entry within a tenth
            is drawn uniformly. None draws any entry uniformly.

    Yields:
        dicts with ``id`` (str), ``prompt`` (str, ends in the queried name and a colon), ``answer``
        (str, ten digits), ``entries`` (int) and ``query_position`` (int, the index of the queried
        entry in the book, from 0).

    Raises:
        InputError: an argument is not a number, or out of range.
    """
    check_integer("entries", entries, MIN_ENTRIES, MAX_ENTRIES)
    check_integer("num_docs", num_docs, 1, MAX_DOCUMENTS)
    check_integer("seed", seed)
    queried_entries(entries, position)
    return (
        _row(entries, seed, index, queried_entry(entries, position, seed, index)) for index in range(num_docs)
    )


def queried_entries(entries: int, position: object) -> tuple[int, ...] | None:
    """The indices of the entries at given positions, each once; None if any entry may be queried.

    Raises:
        InputError: a position is not a number from 0 to 1.
    """
    if position is None or position == STRATIFIED:
        return None
    given: list[Any] = list(position) if isinstance(position, list | tuple) else [position]
    if not given or not all(_is_position(one) for one in given):
        raise InputError(
            f"position must be a number from 0 (first) to 1 (last), a list of these, or {STRATIFIED!r}, not "
            f"{position!r}"
        )
    return tuple(dict.fromkeys(round(one * (entries - 1)) for one in given))


def _is_position(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def queried_entry(entries: int, position: Position | None, seed: int, index: int) -> int | None:
    """The index of the entry that document ``index`` queries; None if any entry may be drawn.

    Raises:
        InputError: as ``queried_entries``.
    """
    if position == STRATIFIED:
        within = Random(f"phone_book_{entries}/seed_{seed}/{index}/{STRATIFIED}").random()
        return min(int((index % _STRATA + within) * entries / _STRATA), entries - 1)
    queried = queried_entries(entries, position)
    return None if queried is None else queried[index % len(queried)]


@dataclass(frozen=True)
class Book:
    """The randomly drawn content of one document.

    Attributes:
        identity: name of the document of ``phone_book``: config, seed, index, and the entry if it was chosen.
        numbers: numbers by name, in the order of the book.
        examples: the names of the two entries that are repeated after the book.
        queries: the names to look up; the first is the query of ``phone_book``.
    """

    identity: str
    numbers: Mapping[str, str]
    examples: tuple[str, str]
    queries: tuple[str, ...]

    @property
    def query(self) -> str:
        return self.queries[0]

    @property
    def position(self) -> int:
        """The index of the query in the book, from 0."""
        return list(self.numbers).index(self.query)

    @property
    def text(self) -> str:
        """The book, one line per entry."""
        return self.lines(self.numbers)

    def lines(self, names: Iterable[str]) -> str:
        """One line for each name, with its number."""
        return "\n".join(f"{name}: {self.numbers[name]}" for name in names)


def draw(entries: int, seed: int, index: int, queried: int | None = None, queries: int = 1) -> Book:
    """The book, examples and queries of document ``index``; additional queries change nothing else.

    Args:
        entries: number of entries of the book, at least ``queries + 2``.
        seed: any integer.
        index: index of the document, from 0.
        queried: index of the entry to query (default: drawn uniformly).
        queries: number of different names to look up.
    """
    identity = f"phone_book_{entries}/seed_{seed}/{index}"
    rng = Random(identity)  # seeded by the SHA-512 of the string: the same in every process

    book: dict[str, str] = {}
    while len(book) < entries:
        name = full_name(rng)
        if name not in book:
            book[name] = number(rng)

    chosen = [] if queried is None else [queried]
    while len(chosen) < 2 + queries:
        position = int(rng.random() * entries)
        if position not in chosen:
            chosen.append(position)
    if queried is not None:
        chosen.insert(2, chosen.pop(0))
        identity += f"/entry_{queried}"
    names = list(book)
    first, second, *others = (names[i] for i in chosen)
    return Book(identity, book, (first, second), tuple(others))


def _row(entries: int, seed: int, index: int, queried: int | None) -> Row:
    book = draw(entries, seed, index, queried)
    return {
        "id": book.identity,
        "prompt": f"{book.text}\n\n{book.lines(book.examples)}\n\n{book.query}:",
        "answer": book.numbers[book.query],
        "entries": entries,
        "query_position": book.position,
    }


def without_query(row: Mapping[str, Any]) -> str:
    """The prompt without the queried entry, for documents whose books look like those of ``phone_book``."""
    prompt: str = row["prompt"]
    _, _, query = prompt.rpartition("\n")
    return prompt.replace(f"{query} {row['answer']}\n", "", 1)


def number(rng: Random) -> str:
    """Ten uniform digits, the first in 6..9; ``random()`` is the same in every version of Python."""
    return str(6_000_000_000 + int(rng.random() * 4_000_000_000))


def random_answers(arguments: Mapping[str, Any]) -> RandomAnswers:
    """The random content of a document: a uniform number for each entry that may be queried.

    Every entry except the two examples may be queried. If positions are given, only the entries at these
    positions may be queried, of which two may be examples.
    """
    entries = arguments["entries"]
    queried = queried_entries(entries, arguments.get("position"))
    return RandomAnswers(max(1, (entries if queried is None else len(queried)) - 2), (4, *[10] * 9))


BENCHMARK = Benchmark(
    name="phone_book",
    suite="repeat_after_me",
    title="Phone books: look up the number of a name.",
    version="1.0",
    builder=rows,
    columns={
        "id": Column(
            "string", "name of the document: config, seed, index, and the entry if a position is given"
        ),
        "prompt": Column("string", "the book, the examples, the queried name and a colon"),
        "answer": Column("string", "ten digits; prompt and answer are separated by a space"),
        "entries": Column("integer", "N"),
        "query_position": Column("integer", "index of the queried entry in the book, from 0"),
    },
    lengths=Lengths("entries", "entries", standard=(20, 40, 60, 80, 100, 120), long=(200, 400, 800, 1600)),
    random_answers=random_answers,
    license="apache-2.0",
    card=Card(
        heading="phone_book: the number of a name in a book",
        text="""\
A phone book of N entries (`First Last: dddddddddd`), two of them repeated as examples, and a name to look
up. The names in a book are distinct; the two examples and the query are three distinct entries, drawn
uniformly. An answer is right if its first line, without surrounding spaces, is the number.""",
        made="""\
by a seeded generator. Names follow the distribution of the 1990 US census, as in the package
[names](https://pypi.org/project/names/): first name by gender and cumulative frequency, last
name by cumulative frequency. Numbers are random; any match with a real number is a coincidence.""",
        license="""\
The documents are this project's own, under Apache-2.0. The census's lists of names are a work of the US
government, in the public domain.""",
        differences="""\
the names of one book are distinct, so that no query has two answers; a fixed set of documents is
released, where the paper's code draws three new batches of 32 per evaluation.""",
    ),
    evaluation=Evaluation(
        stop=("\n",),
        new_tokens=50,
        score="lm_eval_tasks.answers.first_line",
        metrics=("exact_match", "char_accuracy", "copied_fraction"),
        forced_target="lm_eval_tasks.answers.forced_line",
        position="query_position",
        errors="lm_eval_tasks.phone_book_errors.ERRORS",
        without_answer="dataset_builders.phone_book.without_query",
    ),
)
