"""The parts of a :class:`~dataset_builders.benchmark.Benchmark`: columns, variants, card and evaluation."""

from dataclasses import dataclass
from typing import Literal

COLUMN_TYPES = ("string", "integer", "strings")


@dataclass(frozen=True)
class Column:
    """A column of the documents.

    Attributes:
        type: ``string``, ``integer`` or ``strings`` (a list of strings).
        text: what it holds, for the card.
    """

    type: Literal["string", "integer", "strings"]
    text: str


@dataclass(frozen=True)
class Variants:
    """A parameter of the builder that splits a benchmark into several, each with its own accuracy by length.

    Attributes:
        parameter: name of the parameter, e.g. ``order``.
        values: its values; the first has no part in the names of configs, the others have.
    """

    parameter: str
    values: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a data set's card says of a benchmark. Benchmarks with equal cards share one section.

    Attributes:
        heading: heading of the section.
        text: what a document is and how it is scored.
        made: how the documents are made; with a source it follows "Made from SOURCE:".
        license: licence of the documents, in a sentence or two; with a source, of those from its default.
        differences: how they differ from those of the paper; empty for none.
        citation: BibTeX of what else is to be cited; empty for nothing.
        task_categories: the Hub's names of what is asked.
        language: code of the documents' language; None for none.
    """

    heading: str
    text: str
    made: str
    license: str
    differences: str = ""
    citation: str = ""
    task_categories: tuple[str, ...] = ("text-generation",)
    language: str | None = "en"


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How lm-evaluation-harness asks a model and scores its answers.

    Functions are given by their dotted names, since importing them may import lm-eval.

    Attributes:
        target: column that holds the right answer or answers.
        stop: strings that end a generated answer.
        new_tokens: tokens to generate: a number; ``half_prompt``, half as many as the longest prompt has
            and 50 more; or ``answer``, as many as the longest answer has and 10 more.
        score: dotted name of ``function(doc, results) -> {metric: score from 0 to 1}``, where ``doc`` is
            a document and ``results[0]`` what the model generated.
        metrics: names of the scores; more is better for each.
        forced_target: what a forced task scores after the prompt: a column, or the dotted name of
            ``function(doc) -> str``. None if the benchmark has no forced tasks.
        version: of the way to ask and score; it changes when the same answers get other scores.
    """

    target: str = "answer"
    stop: tuple[str, ...]
    new_tokens: int | Literal["half_prompt", "answer"]
    score: str
    metrics: tuple[str, ...]
    forced_target: str | None
    version: float = 1.0
