"""A small benchmark in one file: a sentence of random words, which the model repeats."""

from collections.abc import Iterator
from random import Random
from typing import Any

from dataset_builders.benchmark import Benchmark, Card, Column, Evaluation
from dataset_builders.checks import check_integer
from dataset_builders.lengths import Lengths


def documents(words: int, num_docs: int = 20, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Sentences of random words.

    Args:
        words: number of words per sentence.
        num_docs: number of sentences per length.
        seed: any integer.
    """
    check_integer("words", words, 1)
    check_integer("num_docs", num_docs, 1)
    return (_document(words, seed, index) for index in range(num_docs))


def _document(words: int, seed: int, index: int) -> dict[str, Any]:
    rng = Random(f"{words}/{seed}/{index}")
    sentence = " ".join(rng.choice(("red", "green", "blue")) for _ in range(words))
    return {"id": f"echo_{words}/{index}", "prompt": f"{sentence}\n", "answer": sentence}


def score(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """1 if the answer repeats the sentence, else 0."""
    return {"repeated": float(results[0].strip() == doc["answer"])}


ECHO = Benchmark(
    name="echo",
    title="Sentences to repeat.",
    version="1.0",
    builder=documents,
    columns={
        "id": Column("string", "name of the document"),
        "prompt": Column("string", "the sentence"),
        "answer": Column("string", "the sentence again"),
    },
    lengths=Lengths("words", "words", standard=(3, 5)),
    license="mit",
    card=Card(
        heading="echo: a sentence again",
        text="A sentence, which the model repeats.",
        made="by a seeded generator.",
        license="The documents are under the MIT licence.",
    ),
    evaluation=Evaluation(
        stop=("\n",),
        new_tokens="answer",
        score=f"{__name__}.score",
        metrics=("repeated",),
        forced_target="answer",
    ),
)
