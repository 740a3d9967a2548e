"""The string tasks as benchmarks, one each: what ``dataset_builders.string_documents`` writes down.

A task's parameters are those of its builder, so ``string_copy`` has no ``n`` and ``string_duplicate_ngram``
no ``k``.
"""

from collections.abc import Callable, Iterator

from dataset_builders.benchmark import Benchmark, Card, Column, Evaluation, Row
from dataset_builders.lengths import Lengths
from dataset_builders.string_documents import VERSION, rows


def _copy(
    length: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = "spaced",
    vocabulary: int = 26,
    k: int | None = None,
) -> Iterator[Row]:
    """Documents of ``string_copy``; see ``dataset_builders.string_documents.rows``.

    Args:
        length: letters of a string.
        num_docs: documents per length, at least 1.
        seed: any integer; the released benchmark has seed 0.
        spelling: symbols, plain or spaced.
        vocabulary: number of different letters, at most 26.
        k: length of the answer in letters (default: the whole string).
    """
    return rows("copy", length, num_docs, seed, spelling, vocabulary=vocabulary, k=k)


def _prefix_ngram(
    length: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = "spaced",
    vocabulary: int = 26,
    n: int = 3,
    k: int | None = None,
) -> Iterator[Row]:
    """Documents of ``string_prefix_ngram``; see ``dataset_builders.string_documents.rows``.

    Args:
        length: letters of a string.
        num_docs: documents per length, at least 1.
        seed: any integer; the released benchmark has seed 0.
        spelling: symbols, plain or spaced.
        vocabulary: number of different letters, at most 26.
        n: letters of a key.
        k: length of the answer in letters (default: everything after the key).
    """
    return rows("prefix_ngram", length, num_docs, seed, spelling, vocabulary=vocabulary, n=n, k=k)


def _suffix_ngram(
    length: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = "spaced",
    vocabulary: int = 26,
    n: int = 3,
    k: int | None = None,
) -> Iterator[Row]:
    """Documents of ``string_suffix_ngram``; see ``dataset_builders.string_documents.rows``.

    Args:
        length: letters of a string.
        num_docs: documents per length, at least 1.
        seed: any integer; the released benchmark has seed 0.
        spelling: symbols, plain or spaced.
        vocabulary: number of different letters, at most 26.
        n: letters of a key.
        k: length of the answer in letters (default: everything after the key).
    """
    return rows("suffix_ngram", length, num_docs, seed, spelling, vocabulary=vocabulary, n=n, k=k)


def _duplicate_ngram(
    length: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = "spaced",
    vocabulary: int = 26,
    n: int = 3,
) -> Iterator[Row]:
    """Documents of ``string_duplicate_ngram``; see ``dataset_builders.string_documents.rows``.

    Args:
        length: letters of a string.
        num_docs: documents per length, at least 1.
        seed: any integer; the released benchmark has seed 0.
        spelling: symbols, plain or spaced.
        vocabulary: number of different letters, at most 26.
        n: letters of the n-gram that stands twice.
    """
    return rows("duplicate_ngram", length, num_docs, seed, spelling, vocabulary=vocabulary, n=n)


_COLUMNS = {
    "id": Column("string", "name of the document: task, length, seed, index"),
    "prompt": Column(
        "string", "two worked examples and the string; in the spelling `symbols`, the string alone"
    ),
    "answer": Column("string", "the letters asked for, spelled as in the prompt"),
    "length": Column("integer", "letters of the string"),
    "key": Column("string", "the n-gram that is looked up; empty for `string_copy`"),
    "spelling": Column("string", "`spaced` (a space between letters), `plain` or `symbols`"),
}

_CARD = Card(
    heading="strings: random letters again, and what followed an n-gram",
    text="""\
Random letters to copy, or to look an n-gram up in: what followed it is the answer. Score: the generated
answer, up to the first newline or full stop and stripped, is the answer, spelled as in the prompt.""",
    made="by a seeded generator.",
    license="The documents are this project's own, under Apache-2.0.",
    differences="""\
the key stands once in its string, so that no query has two answers, and as many letters as are asked
follow it; a duplicated n-gram does not overlap itself.""",
    language=None,
)

_EVALUATION = Evaluation(
    stop=("\n", "."),
    new_tokens="answer",
    score="lm_eval_tasks.answers.letters",
    metrics=("exact_match", "char_accuracy", "copied_fraction"),
    forced_target="lm_eval_tasks.answers.forced_letters",
)


def _benchmark(
    task: str, title: str, builder: Callable[..., Iterator[Row]], lengths: tuple[int, ...]
) -> Benchmark:
    """The benchmark of one task: what tells it from the others, and what all string tasks share."""
    return Benchmark(
        name=f"string_{task}",
        title=title,
        version=VERSION,
        builder=builder,
        columns=_COLUMNS,
        lengths=Lengths("length", "letters", standard=lengths),
        license="apache-2.0",
        card=_CARD,
        evaluation=_EVALUATION,
        family="strings",
    )


BENCHMARKS = (
    _benchmark("copy", "Strings of random letters to copy.", _copy, (10, 20, 50, 100, 200, 500)),
    _benchmark(
        "prefix_ngram",
        "What follows an n-gram in a string, asked for before the string.",
        _prefix_ngram,
        (20, 50, 100, 200),
    ),
    _benchmark(
        "suffix_ngram",
        "What follows an n-gram in a string, asked for after the string.",
        _suffix_ngram,
        (20, 50, 100, 200),
    ),
    _benchmark(
        "duplicate_ngram",
        "Strings to copy in which one n-gram stands twice.",
        _duplicate_ngram,
        (20, 50, 100, 200),
    ),
)
