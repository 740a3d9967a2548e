"""The parts of a :class:`~dataset_builders.benchmark.Benchmark`: columns, variants, card and evaluation."""

from dataclasses import dataclass
from typing import Literal

COLUMN_TYPES = ("string", "integer", "strings")


@dataclass(frozen=True)
class Column:
    """A column of the documents.

    Attributes:
        type: ``string``, ``integer`` or ``strings`` (a list of strings).
        text: description for the card.
    """

    type: Literal["string", "integer", "strings"]
    text: str


@dataclass(frozen=True)
class Variants:
    """Variants of a benchmark, each with its own accuracy by length.

    Attributes:
        parameter: parameter of the builder that selects the variant, e.g. ``order``.
        values: values of the parameter, one per variant. The first is omitted in names of configs.
    """

    parameter: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class RandomAnswers:
    """The random content of a document, from which the bits that a model recalls are computed.

    Attributes:
        questions: number of equally likely questions, including the document's own. Given the rest of the
            prompt, their answers are independent.
        symbols: number of possible values of each symbol of an answer, such as a digit. The symbols are
            uniform and independent.
    """

    questions: int
    symbols: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Card:
    """The text about a benchmark in a data set's card. Benchmarks with equal cards share one section.

    Attributes:
        heading: heading of the section.
        text: what a document is and how answers are scored.
        made: how the documents are made; printed after "Made from SOURCE:" if there is a source.
        license: licence of the documents in a sentence or two; if there is a source, of the default source.
        differences: differences from the paper's documents; empty if there are none.
        citation: BibTeX of further works to cite; empty if there are none.
        task_categories: task categories, as in the Hub's list.
        language: language code of the documents; None for no language.
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
    """How lm-evaluation-harness evaluates a model.

    Functions are given by dotted names, since importing them may import lm-eval.

    Attributes:
        target: column with the correct answer or answers.
        stop: strings that end a generated answer.
        new_tokens: maximum number of tokens to generate: a number; ``half_prompt``, half the length of the
            longest prompt plus 50; or ``answer``, the length of the longest answer plus 10.
        score: dotted name of ``function(doc, results) -> {metric: score from 0 to 1}``, where ``doc`` is
            a document and ``results[0]`` the generated text.
        metrics: names of the scores; higher is better.
        forced_target: text that a forced task scores after the prompt: a column, or the dotted name of
            ``function(doc) -> str``. None if the benchmark has no forced tasks.
        position: column with the index, from 0, of the queried item (such as a phone book's entry); None if
            the answer covers the whole document, or if there are several questions.
        positions: column with the number of possible positions; None if this number is the length.
        errors: dotted name of an ``lm_eval_tasks.error_classes.ErrorClasses``, with which reports classify
            wrong answers; None if they are not classified.
        questions: dotted name of ``function(doc) -> documents``, one for each question on the document, with
            its prompt and answer; the first is the document itself. ``score`` then gets one result per
            question. None if each document is one question.
        without_answer: dotted name of ``function(doc) -> str``, the prompt without the queried item, so that
            the answer cannot be found in it. None if the benchmark has no tasks that measure the effect of
            this item.
        version: version of prompting and scoring; it changes whenever the same answers get different scores.
    """

    target: str = "answer"
    stop: tuple[str, ...]
    new_tokens: int | Literal["half_prompt", "answer"]
    score: str
    metrics: tuple[str, ...]
    forced_target: str | None
    position: str | None = None
    positions: str | None = None
    errors: str | None = None
    questions: str | None = None
    without_answer: str | None = None
    version: float = 1.0
