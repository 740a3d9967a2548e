"""Questions on paragraphs of SQuAD v2, one answered as an example, one asked (arXiv 2402.01032).

One document, its paragraph cut short here::

    The harbour of Altona burnt down in 1711. [...]     <- the paragraph

    Question: What burnt down?                          <- its first answerable question, and the first
    Answer: The harbour                                    gold answer to it

    Question: When did the harbour burn down?           <- its second one; "1711" and "in 1711" are both
    Answer:                                                right, if SQuAD has both

Documents are grouped by the tokens of the paragraph, since the claim is how scores fall with its length.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dataset_builders.checks import check_integer, first_line, is_integer
from dataset_builders.errors import InputError
from dataset_builders.sources.tokenizer import DEFAULT_TOKENIZER, load_tokenizer

VERSION = "1.0"
"""Version of the documents; it changes when the same arguments give other documents."""

DEFAULT_SOURCE = "rajpurkar/squad_v2"
REVISION = "3ffb306f725f7d2ce8394bc1873b24868140c412"
SPLIT = "validation"

COLUMNS = ("id", "prompt", "answers", "title", "paragraph_tokens")

_FORMATS = ".parquet, .jsonl or .json"
_TEXTS = ("id", "title", "context", "question")


@dataclass(frozen=True)
class Paragraph:
    """A paragraph with two answerable questions.

    Attributes:
        question_id: the source's id of the second question, the one that is asked.
        title: the article that it is from.
        prompt: paragraph, first question and its answer, second question.
        answers: gold answers to the second question, each once.
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
    source: str = DEFAULT_SOURCE,
    tokenizer: str = DEFAULT_TOKENIZER,
) -> list[dict[str, Any]]:
    """All documents whose paragraph has ``min_tokens`` <= tokens < ``max_tokens``, in the source's order.

    Args:
        min_tokens: at least 0.
        max_tokens: greater than ``min_tokens``; None for no upper limit.
        source: ``rajpurkar/squad_v2`` on the Hub (split ``validation``, at a pinned revision), or a file
            with its columns ``id``, ``title``, ``context``, ``question`` and ``answers`` (texts under
            ``text``): Parquet, JSON lines, or the JSON that SQuAD itself is published in.
        tokenizer: what :func:`dataset_builders.sources.tokenizer.load_tokenizer` takes.

    Returns:
        dicts with ``id`` (str), ``prompt`` (str, ends in ``Answer:``), ``answers`` (list of str),
        ``title`` (str) and ``paragraph_tokens`` (int).

    Raises:
        InputError: an argument is out of range, the source or the tokenizer cannot be read, or no
            paragraph has that many tokens.
    """
    _check(min_tokens, max_tokens, source, tokenizer)
    found = paragraphs(source, tokenizer)
    inside = [p for p in found if min_tokens <= p.tokens and (max_tokens is None or p.tokens < max_tokens)]
    if not inside:
        raise InputError(_nothing(min_tokens, max_tokens, source, [p.tokens for p in found]))
    config = f"squad_v2_retrieval_{min_tokens}_{'plus' if max_tokens is None else max_tokens}"
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
        return f"{source!r} holds no paragraph with two answerable questions; give another 'squad_source'"
    wanted = f"{min_tokens} or more" if max_tokens is None else f"{min_tokens} to {max_tokens - 1}"
    return (
        f"no paragraph of {source!r} with two answerable questions has {wanted} tokens: there are "
        f"{len(lengths)} in all, of {min(lengths)} to {max(lengths)} tokens; take a task of a length among "
        "these, or another 'squad_source'"
    )


@lru_cache(maxsize=2)
def paragraphs(source: str, tokenizer: str) -> tuple[Paragraph, ...]:
    """Every paragraph with two answerable questions; cached, since each length takes its own of them.

    Raises:
        InputError: the source or the tokenizer cannot be read.
    """
    asked: dict[str, list[Mapping[str, Any]]] = {}
    for row in _checked(_read(source), source):
        answerable = asked.setdefault(row["context"], [])
        if row["answers"]["text"]:
            answerable.append(row)
    pairs = [questions[:2] for questions in asked.values() if len(questions) >= 2]
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
    """No space at the end: a tokenizer would take it from the answer's first word."""
    example = f"Question: {first['question']}\nAnswer: {first['answers']['text'][0]}"
    return f"{first['context']}\n\n{example}\n\nQuestion: {second['question']}\nAnswer:"


def _checked(table: Iterable[Any], source: str) -> Iterator[Mapping[str, Any]]:
    for number, row in enumerate(table, 1):
        missing = _missing(row)
        if missing:
            raise InputError(
                f"{source!r} is not in SQuAD v2's schema: its row {number} lacks {', '.join(missing)}; the "
                f"columns {', '.join(_TEXTS)} must be strings of valid Unicode, and answers.text a list "
                "of such strings"
            )
        yield row


def _missing(row: Any) -> list[str]:
    if not isinstance(row, Mapping):
        return [*_TEXTS, "answers"]
    missing = [column for column in _TEXTS if not _is_text(row.get(column))]
    answers = row.get("answers")
    if not isinstance(answers, Mapping):
        return [*missing, "answers"]
    texts = answers.get("text")
    if not isinstance(texts, list) or not all(map(_is_text, texts)):
        return [*missing, "answers.text"]
    return missing


def _is_text(value: object) -> bool:
    """Whether it is a string that UTF-8 can hold: a lone surrogate in JSON makes one that it cannot."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _read(source: str) -> list[Any]:
    if source == DEFAULT_SOURCE:
        return _hub()
    path = Path(source).expanduser()
    if not path.is_file():
        raise InputError(
            f"the file {source!r} does not exist; give a {_FORMATS} file in SQuAD v2's schema, or leave "
            f"'squad_source' out to read {DEFAULT_SOURCE} from the Hub"
        )
    if path.suffix not in (".parquet", ".jsonl", ".json"):
        raise InputError(f"{source!r} cannot be read by its ending; give a {_FORMATS} file")
    try:
        return _parquet(path) if path.suffix == ".parquet" else _json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{source!r} cannot be read: {first_line(error)}; give a whole {_FORMATS} file"
        ) from None


def _parquet(path: Path) -> list[Any]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        return file.read().to_pylist()


def _json(text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return _json_lines(text)
    if isinstance(whole, dict) and "data" in whole:
        return _flat(whole["data"])
    return whole if isinstance(whole, list) else [whole]


def _json_lines(text: str) -> list[Any]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):  # splitlines would cut strings that hold U+2028
        if line.strip():
            try:
                found.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number} is not JSON ({error.msg})") from None
    return found


def _flat(articles: Any) -> list[Any]:
    """SQuAD's own articles > paragraphs > questions as rows."""
    try:
        return [
            {
                "id": question["id"],
                "title": article["title"],
                "context": paragraph["context"],
                "question": question["question"],
                "answers": {"text": [answer["text"] for answer in question["answers"]]},
            }
            for article in articles
            for paragraph in article["paragraphs"]
            for question in paragraph["qas"]
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"its 'data' is not laid out as SQuAD's ({error})") from None


def _hub() -> list[Any]:
    from datasets import load_dataset

    try:
        return load_dataset(DEFAULT_SOURCE, split=SPLIT, revision=REVISION).to_list()
    except Exception as error:  # noqa: BLE001  a Hub out of reach shows in a dozen ways
        raise InputError(
            f"{DEFAULT_SOURCE!r} (split {SPLIT}, revision {REVISION[:7]}) cannot be had from the Hub: "
            f"{first_line(error)}; give a local {_FORMATS} file in its schema, by "
            '--squad-source or, in lm-eval, --metadata \'{"squad_source": "FILE"}\''
        ) from None
