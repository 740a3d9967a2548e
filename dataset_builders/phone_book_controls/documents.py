"""The documents of the controls: variants of the documents of ``phone_book``, each with one change.

A model may fail on a phone book because it cannot store the book, because the entry is far away, or because
it cannot use what it has stored. Each variant keeps books, examples and queries of ``phone_book`` and changes
one thing. The column ``pair`` names the document of ``phone_book`` with the same book, examples and (first)
query, so that both can be compared document by document.

``phone_book_query_first``: the name is announced before the book, so that one entry has to be remembered::

    Find the number of Frank Ortiz.

    Maria Jones: 8274910365
    Frank Ortiz: 6120938475
    ...                            <- the rest is the document of phone_book

``phone_book_gap``: other text is inserted between the book and the examples, so that the entry is farther
away, but no more has to be remembered::

    Maria Jones: 8274910365
    Frank Ortiz: 6120938475
    Helen Brown: 9038471625

    The fence ends sometimes beneath the soft garden. The distant air stops below the surface.

    Helen Brown: 9038471625
    ...

``phone_book_multi``: further names are looked up in the same book, below the numbers of earlier ones::

    ...
    Helen Brown: 9038471625        <- the examples
    Maria Jones: 8274910365
    Frank Ortiz: 6120938475        <- the first query, with its number

    Ada Lovelace:                  <- the second query
"""

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from dataset_builders.benchmark import Row
from dataset_builders.checks import MAX_DOCUMENTS, check_integer
from dataset_builders.errors import InputError
from dataset_builders.phone_book import (
    MAX_ENTRIES,
    MIN_ENTRIES,
    Book,
    Position,
    draw,
    queried_entries,
    queried_entry,
)
from dataset_builders.sources.neutral_text import neutral_text

ANNOUNCED = ("query", "example")

MAX_WORDS = 10_000_000


def query_first_rows(
    entries: int,
    num_docs: int = 500,
    seed: int = 0,
    position: Position | None = None,
    announced: str = "query",
) -> Iterator[Row]:
    """The documents of ``phone_book``, with the queried name announced before the book.

    Args:
        entries: entries (lines) of a book, at least 3.
        num_docs: documents per size, at least 1.
        seed: any integer; the released benchmark has seed 0.
        position: which entry to query, as in ``phone_book``.
        announced: the name to announce: query, or example (the first example's name, which does not help).

    Yields:
        dicts with the columns of ``phone_book``, and ``pair`` (str, id of its document).

    Raises:
        InputError: an argument is of the wrong type or out of range.
    """
    if announced not in ANNOUNCED:
        raise InputError(f"announced must be one of {', '.join(ANNOUNCED)}, not {announced!r}")

    def row(book: Book) -> Row:
        name = book.query if announced == "query" else book.examples[0]
        parts = (f"Find the number of {name}.", book.text, book.lines(book.examples), f"{book.query}:")
        own = "" if announced == "query" else f"/{announced}"
        return _row(book, f"{_own_id('phone_book_query_first', book)}{own}", parts)

    return _rows(row, entries, num_docs, seed, position)


def gap_rows(
    gap: int, entries: int = 20, num_docs: int = 500, seed: int = 0, position: Position | None = None
) -> Iterator[Row]:
    """The documents of ``phone_book``, with other text between the book and the examples.

    The books, examples and queries are the same for every gap.

    Args:
        gap: length of the other text in words, at least 1.
        entries: entries (lines) of a book, at least 3.
        num_docs: documents per gap, at least 1.
        seed: any integer; the released benchmark has seed 0.
        position: which entry to query, as in ``phone_book``.

    Yields:
        dicts with the columns of ``phone_book``, ``gap`` (int) and ``pair`` (str, id of its document).

    Raises:
        InputError: an argument is of the wrong type or out of range.
    """
    check_integer("gap", gap, 1, MAX_WORDS)

    def row(book: Book) -> Row:
        text = neutral_text(Random(f"{book.identity}/text"), gap)
        parts = (book.text, text, book.lines(book.examples), f"{book.query}:")
        return {**_row(book, f"phone_book_gap_{gap}/{book.identity}", parts), "gap": gap}

    return _rows(row, entries, num_docs, seed, position)


def multi_rows(entries: int, num_docs: int = 500, seed: int = 0, questions: int = 8) -> Iterator[Row]:
    """The documents of ``phone_book``, with several questions on each book.

    Args:
        entries: entries (lines) of a book, at least ``questions + 2``.
        num_docs: documents per size, at least 1.
        seed: any integer; the released benchmark has seed 0.
        questions: names to look up per book, at least 1.

    Yields:
        dicts with ``id``, ``prompt`` and ``answer`` (str, of the first question), ``queries`` and ``answers``
        (lists of str), ``entries`` (int) and ``pair`` (str, id of the document of ``phone_book``).

    Raises:
        InputError: an argument is of the wrong type or out of range.
    """
    check_integer("questions", questions, 1)
    check_integer("entries", entries, MIN_ENTRIES, MAX_ENTRIES)
    if questions > entries - 2:
        raise InputError(
            f"a book of {entries} entries has {entries - 2} besides the two examples, fewer than "
            f"{questions} questions; set questions to {entries - 2} or less"
        )

    def row(book: Book) -> Row:
        return {
            "id": f"{_own_id('phone_book_multi', book)}/{questions}_questions",
            "prompt": "\n\n".join((book.text, book.lines(book.examples), f"{book.query}:")),
            "answer": book.numbers[book.query],
            "queries": list(book.queries),
            "answers": [book.numbers[name] for name in book.queries],
            "entries": entries,
            "pair": book.identity,
        }

    return _rows(row, entries, num_docs, seed, None, questions)


def _rows(
    row: Callable[[Book], Row],
    entries: int,
    num_docs: int,
    seed: int,
    position: Position | None,
    questions: int = 1,
) -> Iterator[Row]:
    check_integer("entries", entries, MIN_ENTRIES, MAX_ENTRIES)
    check_integer("num_docs", num_docs, 1, MAX_DOCUMENTS)
    check_integer("seed", seed)
    queried_entries(entries, position)
    return (
        row(draw(entries, seed, index, queried_entry(entries, position, seed, index), questions))
        for index in range(num_docs)
    )


def _own_id(name: str, book: Book) -> str:
    return f"{name}{book.identity.removeprefix('phone_book')}"


def _row(book: Book, identity: str, parts: tuple[str, ...]) -> Row:
    return {
        "id": identity,
        "prompt": "\n\n".join(parts),
        "answer": book.numbers[book.query],
        "entries": len(book.numbers),
        "query_position": book.position,
        "pair": book.identity,
    }


def questions(row: Mapping[str, Any]) -> list[Row]:
    """The document of ``phone_book_multi`` with the prompt and answer of each question.

    Before each question, the earlier names are listed with their correct numbers, like further examples.
    """
    shown, _, _ = row["prompt"].rpartition("\n\n")
    found = []
    for name, digits in zip(row["queries"], row["answers"], strict=True):
        found.append({**row, "prompt": f"{shown}\n\n{name}:", "answer": digits})
        shown += f"\n{name}: {digits}"
    return found
