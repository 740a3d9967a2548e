"""MQAR as a benchmark: documents with one query each, as text.

One document with three pairs, in each spelling. In ``spaced``, the spelling for pretrained models, it begins
with two worked examples::

    symbols  12 4512 77 5002 9 4100 0 0 77                      the answer is ``5002``
    spaced   8 4099 3 7001 14 6203 | 14 -> 6203                 the same, after a space
             2 6000 51 7110 83 4400 | 2 -> 6000
             12 4512 77 5002 9 4100 | 77 ->

In ``symbols``, the spelling for models that were trained on MQAR, a document is a training example (see
``examples``) up to one of its queries.
"""

import hashlib
from collections.abc import Iterator

import numpy as np

from dataset_builders.benchmark import Benchmark, Card, Column, Evaluation, Row
from dataset_builders.checks import MAX_DOCUMENTS, check_integer
from dataset_builders.errors import InputError
from dataset_builders.lengths import Lengths
from dataset_builders.mqar.examples import Mqar
from dataset_builders.string_tasks.sampling import NumpyRandomIntegers

SPELLINGS = ("symbols", "spaced")

TOKENS_PER_PAIR = 16
"""Default number of tokens per pair in an example, as in three of Zoology's four sizes."""

_SHOTS = 2


def rows(
    pairs: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = "spaced",
    example_tokens: int | None = None,
    vocabulary: int = 8192,
    power_a: float = 0.01,
    random_non_queries: bool = True,
) -> Iterator[Row]:
    """Documents 0 .. ``num_docs`` - 1, each with the same number of pairs.

    Document k depends only on k and the other arguments. The spelling changes neither the pairs nor the
    query.

    Args:
        pairs: key-value pairs per document, at least 1.
        num_docs: number of documents, at least 1.
        seed: any integer; the released benchmark has seed 0.
        spelling: how documents are written: spaced (with two worked examples), or symbols (as in training).
        example_tokens: for symbols, length in tokens of the example that a document is cut from; None for 16
            per pair.
        vocabulary: number of different tokens; the lower half are keys, the upper half values.
        power_a: for symbols, exponent of the power law of the distances from pair to query; 1 is uniform.
        random_non_queries: for symbols, whether to fill the gaps between queries with random tokens.

    Yields:
        dicts with ``id`` (str), ``prompt`` (str), ``answer`` (str, the value), ``key`` (str, the query),
        ``pairs`` (int), ``query_position`` (int, index of the queried pair, from 0) and ``spelling`` (str).

    Raises:
        InputError: an argument is of the wrong type or out of range.
    """
    check_integer("pairs", pairs, 1)
    check_integer("num_docs", num_docs, 1, MAX_DOCUMENTS)
    check_integer("seed", seed)
    if spelling not in SPELLINGS:
        raise InputError(f"spelling must be one of {', '.join(SPELLINGS)}, not {spelling!r}")
    length = TOKENS_PER_PAIR * pairs if example_tokens is None else example_tokens
    task = Mqar(length, pairs, vocabulary, power_a, random_non_queries)
    return (_row(task, spelling, seed, index) for index in range(num_docs))


def _row(task: Mqar, spelling: str, seed: int, index: int) -> Row:
    name = f"mqar_{task.pairs}/seed_{seed}/{index}"
    settings = f"{task.length}/{task.vocabulary}/{float(task.power_a)}/{task.random_non_queries}"
    digest = hashlib.sha256(f"{name}/{settings}".encode()).digest()
    random = NumpyRandomIntegers(np.random.Philox(key=int.from_bytes(digest[:16], "big")), 1 + _SHOTS)
    drawn, positions = task.draw(random), random.integers(task.pairs)
    tokens, position = drawn.tokens.tolist(), int(positions[0])
    if spelling == "symbols":
        prompt = " ".join(map(str, tokens[0][: int(drawn.queries[0, position]) + 1]))
    else:
        lines = [_line(task, row, int(at)) for row, at in zip(tokens, positions, strict=True)]
        shown = [f"{text} {answer}" for text, answer in lines[1:]]
        prompt = "\n".join([*shown, lines[0][0]])
    return {
        "id": name,
        "prompt": prompt,
        "answer": str(drawn.answers[0, position]),
        "key": str(tokens[0][2 * position]),
        "pairs": task.pairs,
        "query_position": position,
        "spelling": spelling,
    }


def _line(task: Mqar, tokens: list[int], position: int) -> tuple[str, str]:
    """The pairs and a query up to its arrow, and the answer."""
    pairs = " ".join(map(str, tokens[: 2 * task.pairs]))
    return f"{pairs} | {tokens[2 * position]} ->", str(tokens[2 * position + 1])


BENCHMARK = Benchmark(
    name="mqar",
    title="Multi-query associative recall: look up a key's value.",
    version="1.0",
    builder=rows,
    columns={
        "id": Column("string", "name of the document: number of pairs, seed, index"),
        "prompt": Column("string", "two worked examples, the pairs and the query; in the spelling "
                                   "`symbols`, an example of the training task up to a query"),
        "answer": Column("string", "the value of the queried key"),
        "key": Column("string", "the queried key"),
        "pairs": Column("integer", "number of key-value pairs"),
        "query_position": Column("integer", "index of the queried pair, from 0"),
        "spelling": Column("string", "`spaced` or `symbols`"),
    },
    lengths=Lengths("pairs", "pairs", standard=(4, 8, 16, 64)),
    license="apache-2.0",
    card=Card(
        heading="mqar: look up a key's value among pairs of numbers",
        text="""\
Pairs of a key and a value, both numbers, then one of the keys (multi-query associative recall with one query
per document). An answer is right if its first word is the key's value.""",
        made="by a seeded generator.",
        license="The documents are this project's own, under Apache-2.0.",
        citation="""\
@inproceedings{arora2024zoology,
  title     = {Zoology: Measuring and Improving Recall in Efficient Language Models},
  author    = {Arora, Simran and Eyuboglu, Sabri and Timalsina, Aman and Johnson, Isys and Poli, Michael and
               Zou, James and Rudra, Atri and R\\'e, Christopher},
  booktitle = {International Conference on Learning Representations},
  year      = {2024}
}""",
        language=None,
    ),
    evaluation=Evaluation(
        stop=("\n",),
        new_tokens="answer",
        score="lm_eval_tasks.answers.value",
        metrics=("exact_match",),
        forced_target="lm_eval_tasks.answers.forced_value",
        position="query_position",
    ),
)  # fmt: skip
