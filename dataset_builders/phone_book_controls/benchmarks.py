"""The controls as benchmarks; ``dataset_builders.phone_book_controls.documents`` makes their documents."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dataset_builders.benchmark import Benchmark, Card, Column, RandomAnswers
from dataset_builders.lengths import Lengths
from dataset_builders.phone_book import BENCHMARK, random_answers
from dataset_builders.phone_book_controls.documents import gap_rows, multi_rows, query_first_rows


def one_question(_: Mapping[str, Any]) -> RandomAnswers:
    """The random content of a document with one possible query: the entry announced before the book."""
    return RandomAnswers(1, (4, *[10] * 9))


def query_first_answers(arguments: Mapping[str, Any]) -> RandomAnswers:
    """The random content of a document: as in ``phone_book`` if an example is announced, else one number."""
    return one_question(arguments) if arguments["announced"] == "query" else random_answers(arguments)


_COLUMNS = {
    **BENCHMARK.columns,
    "pair": Column("string", "id of the document of `phone_book` with the same book, examples and query"),
}

_SIZES = Lengths("entries", "entries", standard=(20, 60, 120))

_FAMILY = "phone_book_controls"


def _card(heading: str, text: str) -> Card:
    return Card(
        heading=heading,
        text=text,
        made="by a seeded generator: the books, examples and queries are those of `phone_book`.",
        license=BENCHMARK.card.license,
    )


QUERY_FIRST = Benchmark(
    name="phone_book_query_first",
    title="Phone books with the queried name announced before the book.",
    version="1.0",
    builder=query_first_rows,
    columns=_COLUMNS,
    lengths=_SIZES,
    random_answers=query_first_answers,
    license=BENCHMARK.license,
    card=_card(
        "phone_book_query_first: the name is announced before the book",
        """\
The documents of `phone_book` after a line that names the entry to look up: one entry has to be remembered
instead of N.""",
    ),
    evaluation=BENCHMARK.evaluation,
    family=_FAMILY,
    suite=_FAMILY,
)

GAP = Benchmark(
    name="phone_book_gap",
    title="Phone books with other text between the book and the query.",
    version="1.0",
    builder=gap_rows,
    columns={**_COLUMNS, "gap": Column("integer", "words of the other text")},
    lengths=Lengths("gap", "words", standard=(100, 300, 1000)),
    random_answers=random_answers,
    license=BENCHMARK.license,
    card=_card(
        "phone_book_gap: other text between the book and the query",
        """\
The documents of `phone_book`, with a paragraph of neutral sentences between the book and the two examples.
The entry is farther away, but no more has to be remembered.""",
    ),
    evaluation=replace(BENCHMARK.evaluation, positions="entries"),
    family=_FAMILY,
    suite=_FAMILY,
)

MULTI = Benchmark(
    name="phone_book_multi",
    title="Phone books with several questions on each book.",
    version="1.0",
    builder=multi_rows,
    columns={
        "id": Column("string", "name of the document: config, seed, index, and the number of questions"),
        "prompt": Column("string", "the book, the examples, the first queried name and a colon"),
        "answer": Column("string", "the number of the first queried name"),
        "queries": Column("strings", "the names to look up, in order"),
        "answers": Column("strings", "their numbers"),
        "entries": Column("integer", "N"),
        "pair": Column("string", "id of the document of `phone_book` with this book and first question"),
    },
    lengths=_SIZES,
    license=BENCHMARK.license,
    card=_card(
        "phone_book_multi: several questions on each book",
        """\
The documents of `phone_book` with further names to look up in the same book. They are asked one after the
other: before each, the earlier names stand below the examples with their correct numbers.""",
    ),
    evaluation=replace(
        BENCHMARK.evaluation,
        score="lm_eval_tasks.answers.first_lines",
        metrics=("recall", "char_accuracy", "copied_fraction"),
        position=None,
        errors=None,
        without_answer=None,
        questions="dataset_builders.phone_book_controls.documents.questions",
    ),
    family=_FAMILY,
    suite=_FAMILY,
)
