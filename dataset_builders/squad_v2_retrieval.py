"""Questions about paragraphs of SQuAD v2, after an answered example (arXiv 2402.01032).

One document, its paragraph cut short here::

    The harbour of Altona burnt down in 1711. [...]     <- the paragraph

    Question: What burnt down?                          <- its first answerable question, and the first
    Answer: The harbour                                    gold answer to it

    Question: When did the harbour burn down?           <- its second one; "1711" and "in 1711" are both
    Answer:                                                right, if SQuAD lists both

Documents are grouped by the paragraph's length in tokens, to measure how scores fall with length.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dataset_builders.benchmark import Benchmark, Card, Column, Evaluation, Row
from dataset_builders.checks import check_integer, is_integer
from dataset_builders.checksum import content_sha256
from dataset_builders.errors import InputError
from dataset_builders.lengths import Lengths
from dataset_builders.sources.origin import Origin, TextSource, public_name
from dataset_builders.sources.squad import DEFAULT_SOURCE, REVISION, read_squad
from dataset_builders.sources.tokenizer import DEFAULT_TOKENIZER, load_tokenizer


@dataclass(frozen=True)
class Paragraph:
    """A paragraph with two answerable questions.

    Attributes:
        question_id: the source's id of the second question, which is to be answered.
        title: title of the paragraph's article.
        prompt: paragraph, first question and its answer, second question.
        answers: distinct gold answers to the second question.
        tokens: length of the paragraph alone.
    """

    question_id: str
    title: str
    prompt: str
    answers: tuple[str, ...]
    tokens: int


def rows(
    min_tokens: int,
    max_tokens: int | None,
    squad_source: str = DEFAULT_SOURCE,
    tokenizer: str = DEFAULT_TOKENIZER,
) -> list[Row]:
    """All documents whose paragraph has ``min_tokens`` <= tokens < ``max_tokens``, in the source's order.

    Args:
        min_tokens: minimum length of the paragraph in tokens, at least 0.
        max_tokens: upper limit of the length, greater than ``min_tokens``; None for no limit.
        squad_source: see :func:`dataset_builders.sources.squad.read_squad`.
        tokenizer: see :func:`dataset_builders.sources.tokenizer.load_tokenizer`.

    Returns:
        Dicts with ``id`` (str), ``prompt`` (str, ends in ``Answer:``), ``answers`` (list of str),
        ``title`` (str) and ``paragraph_tokens`` (int).

    Raises:
        InputError: an argument is out of range, the source or the tokenizer cannot be read, or no
            paragraph has that many tokens.
    """
    _check(min_tokens, max_tokens, squad_source, tokenizer)
    found = paragraphs(squad_source, tokenizer)
    inside = [p for p in found if min_tokens <= p.tokens and (max_tokens is None or p.tokens < max_tokens)]
    if not inside:
        raise InputError(_nothing(min_tokens, max_tokens, squad_source, [p.tokens for p in found]))
    config = BENCHMARK.config_name({"min_tokens": min_tokens, "max_tokens": max_tokens})
    return [
        {
            "id": f"{config}/{paragraph.question_id}",
            "prompt": paragraph.prompt,
            "answers": list(paragraph.answers),
            "title": paragraph.title,
            "paragraph_tokens": paragraph.tokens,
        }
        for paragraph in inside
    ]


def _check(min_tokens: int, max_tokens: int | None, source: str, tokenizer: str) -> None:
    check_integer("min_tokens", min_tokens, 0)
    if max_tokens is not None and (not is_integer(max_tokens) or max_tokens <= min_tokens):
        raise InputError(f"max_tokens must be an integer greater than {min_tokens}, not {max_tokens!r}")
    for name, value in (("squad_source", source), ("tokenizer", tokenizer)):
        if not isinstance(value, str) or not value:
            raise InputError(f"{name} must be a file or a name on the Hub, not {value!r}")


def _nothing(min_tokens: int, max_tokens: int | None, source: str, lengths: list[int]) -> str:
    if not lengths:
        return f"{source!r} has no paragraph with two answerable questions; pass another 'squad_source'"
    wanted = f"{min_tokens} or more" if max_tokens is None else f"{min_tokens} to {max_tokens - 1}"
    return (
        f"no paragraph of {source!r} with two answerable questions has {wanted} tokens: it has "
        f"{len(lengths)} such paragraphs of {min(lengths)} to {max(lengths)} tokens; "
        f"{_tasks_of(lengths)}pass another 'squad_source'"
    )


def _tasks_of(lengths: list[int]) -> str:
    """The names of the tasks that have a paragraph of one of these lengths, as advice."""
    ranges = [(BENCHMARK.lengths.arguments(one), one) for one in BENCHMARK.lengths.all]
    names = [
        f"{BENCHMARK.name}_{label}"
        for of, label in ranges
        if any(of["min_tokens"] <= n and (of["max_tokens"] is None or n < of["max_tokens"]) for n in lengths)
    ]
    return f"use one of {', '.join(names)}, or " if names else ""


@lru_cache(maxsize=2)
def paragraphs(source: str, tokenizer: str) -> tuple[Paragraph, ...]:
    """Every paragraph with two answerable questions; cached, since each length selects from them.

    Raises:
        InputError: the source or the tokenizer cannot be read.
    """
    questions_of: dict[str, list[Mapping[str, Any]]] = {}
    for row in read_squad(source):
        answerable = questions_of.setdefault(row["context"], [])
        if row["answers"]["text"]:
            answerable.append(row)
    pairs = [questions[:2] for questions in questions_of.values() if len(questions) >= 2]
    encoded = load_tokenizer(tokenizer).encode_batch([first["context"] for first, _ in pairs])
    return tuple(
        Paragraph(
            question_id=second["id"],
            title=first["title"],
            prompt=_prompt(first, second),
            answers=tuple(dict.fromkeys(second["answers"]["text"])),
            tokens=len(ids),
        )
        for (first, second), ids in zip(pairs, encoded, strict=True)
    )


def _prompt(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """The prompt, which ends without a space: tokenizers would split it from the answer's first word."""
    example = f"Question: {first['question']}\nAnswer: {first['answers']['text'][0]}"
    return f"{first['context']}\n\n{example}\n\nQuestion: {second['question']}\nAnswer:"


@lru_cache(maxsize=2)
def _origin(source: str, tokenizer: str) -> Origin:
    on_hub = source == DEFAULT_SOURCE
    checksum = content_sha256(
        {"id": p.question_id, "title": p.title, "prompt": p.prompt, "answers": p.answers}
        for p in paragraphs(source, tokenizer)
    )
    return Origin(public_name(source, on_hub), on_hub, REVISION if on_hub else None, checksum)


class _TokenRanges(Lengths):
    """Half-open ranges of a paragraph's length in tokens, such as ``50_100`` or ``400_plus``."""

    @property
    def option(self) -> str:
        return "paragraph_tokens"

    @property
    def any_length(self) -> bool:
        return False

    @property
    def parameters(self) -> tuple[str, ...]:
        return ("min_tokens", "max_tokens")

    def parse(self, given: object) -> tuple[str, ...]:
        texts = given if isinstance(given, list | tuple) else [given]
        for text in texts:
            self.arguments(text)
        return tuple(dict.fromkeys(texts))

    def arguments(self, length: Any) -> dict[str, Any]:
        least, _, most = str(length).partition("_")
        if not (_is_number(least) and (most == "plus" or _is_number(most))):
            raise InputError(f"a range of paragraph lengths is written as 50_100 or 400_plus, not {length!r}")
        return {"min_tokens": int(least), "max_tokens": None if most == "plus" else int(most)}

    def label(self, arguments: Mapping[str, Any]) -> str:
        most = arguments["max_tokens"]
        return f"{arguments['min_tokens']}_{'plus' if most is None else most}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10


BENCHMARK = Benchmark(
    name="squad_v2_retrieval",
    suite="repeat_after_me",
    aliases=("squad_v2",),
    title="Questions about paragraphs of SQuAD v2, by paragraph length.",
    version="1.0",
    builder=rows,
    columns={
        "id": Column("string", "config and SQuAD's id of the second question"),
        "prompt": Column(
            "string",
            "the paragraph, the first question and its first gold answer, the second question, `Answer:`",
        ),
        "answers": Column("strings", "distinct gold answers to the second question"),
        "title": Column("string", "title of the paragraph's article"),
        "paragraph_tokens": Column("integer", "length of the paragraph alone, in tokens"),
    },
    lengths=_TokenRanges(
        "min_tokens",
        "tokens",
        standard=(
            "50_100",
            "100_150",
            "150_200",
            "200_250",
            "250_300",
            "300_350",
            "350_400",
            "400_plus",
        ),
    ),
    source=TextSource(
        "squad_source",
        help="a file in SQuAD v2's schema",
        origin=_origin,
    ),
    license="cc-by-sa-4.0",
    card=Card(
        heading="squad_v2_retrieval: questions about a paragraph, by its length",
        text="""\
A paragraph, a question about it with its answer, and a second question to answer. Configs are ranges of
the paragraph's length in tokens. Scores are exact match and F1 over words after normalisation, each the
maximum over the gold answers.""",
        made="""\
every paragraph with two answerable questions, in the source's order; the first two are used.""",
        license="""\
SQuAD v2 (Rajpurkar, Jia, Liang) is released under [CC BY-SA
4.0](https://creativecommons.org/licenses/by-sa/4.0/), and its paragraphs are from Wikipedia. Changes:
questions are put into prompts as above; nothing else was changed. These configs are also under CC BY-SA
4.0.""",
        differences="""\
prompts end in `Answer:` without a space, which byte-pair encoding would split wrongly; all paragraphs
of a length are included, instead of 15 to 30.""",
        citation="""\
@inproceedings{rajpurkar2018know,
  title     = {Know What You Don't Know: Unanswerable Questions for SQuAD},
  author    = {Rajpurkar, Pranav and Jia, Robin and Liang, Percy},
  booktitle = {Proceedings of the 56th Annual Meeting of the Association for Computational Linguistics},
  year      = {2018}
}""",
        task_categories=("text-generation", "question-answering"),
    ),
    evaluation=Evaluation(
        target="answers",
        stop=("\n\n",),
        new_tokens=200,
        score="lm_eval_tasks.answers.paragraph_answer",
        metrics=("em", "f1"),
        forced_target=None,
    ),
)
