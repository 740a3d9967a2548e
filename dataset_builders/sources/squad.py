"""Questions in SQuAD v2's schema, from the Hub or a file."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset_builders.checks import first_line
from dataset_builders.errors import InputError
from dataset_builders.files import read_bounded, user_path
from dataset_builders.hub import hub_errors

DEFAULT_SOURCE = "rajpurkar/squad_v2"
REVISION = "3ffb306f725f7d2ce8394bc1873b24868140c412"
SPLIT = "validation"

_MAX_BYTES = 2**30
"""Maximum size of a file's text in bytes; SQuAD v2 takes 40 MB."""

_FORMATS = ".parquet, .jsonl or .json"
_TEXTS = ("id", "title", "context", "question")


def read_squad(source: str) -> Iterator[Mapping[str, Any]]:
    """The questions of a source, in order.

    Args:
        source: ``rajpurkar/squad_v2`` on the Hub (split ``validation``, at a pinned revision), or a file with
            its columns ``id``, ``title``, ``context``, ``question`` and ``answers`` (texts under ``text``):
            Parquet, JSON lines, or the JSON that SQuAD itself is published in; or
            ``dictionary_squad.json`` of the code released with arXiv 2402.01032.

    Raises:
        InputError: the source cannot be read, or a row does not have this schema.
    """
    for number, row in enumerate(_read(source), 1):
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
    """Whether a value is a string that UTF-8 can encode; JSON may contain lone surrogates."""
    try:
        return isinstance(value, str) and value.encode() is not None
    except UnicodeEncodeError:
        return False


def _read(source: str) -> list[Any]:
    if source == DEFAULT_SOURCE:
        return _hub()
    path = user_path(source)
    if not path.is_file():
        problem = f"{source!r} is a folder" if path.is_dir() else f"the file {source!r} does not exist"
        raise InputError(
            f"{problem}; pass a {_FORMATS} file in SQuAD v2's schema, or omit 'squad_source' to read "
            f"{DEFAULT_SOURCE} from the Hub"
        )
    if path.suffix not in (".parquet", ".jsonl", ".json"):
        raise InputError(f"{source!r} has an unknown file extension; pass a {_FORMATS} file")
    try:
        return _parquet(path) if path.suffix == ".parquet" else _json(read_bounded(path, _MAX_BYTES).decode())
    except InputError:
        raise
    except (OSError, ValueError, RecursionError) as error:  # RecursionError: from deeply nested JSON
        raise InputError(
            f"{source!r} cannot be read: {first_line(error)}; pass a complete {_FORMATS} file"
        ) from None


def _parquet(path: Path) -> list[Any]:
    from pyarrow.parquet import ParquetFile

    rows: list[Any] = []
    size = 0
    with path.open("rb") as stream, ParquetFile(stream) as file:
        for batch in file.iter_batches(batch_size=16):
            size += batch.nbytes
            if size > _MAX_BYTES:  # a small file may contain a long text many times
                raise ValueError(f"it has more than {_MAX_BYTES // 2**20} MiB of text")
            rows += batch.to_pylist()
    return rows


def _json(text: str) -> list[Any]:
    try:
        whole = json.loads(text)
    except json.JSONDecodeError:
        return _json_lines(text)
    if isinstance(whole, dict) and "data" in whole:
        return _flat(whole["data"])
    if isinstance(whole, dict) and whole and all(isinstance(part, dict) for part in whole.values()):
        return _released(whole)
    return whole if isinstance(whole, list) else [whole]


def _json_lines(text: str) -> list[Any]:
    found = []
    for number, line in enumerate(text.split("\n"), 1):  # splitlines would cut strings that contain U+2028
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
    except (KeyError, TypeError) as error:  # nothing above but the file's content can raise these
        raise ValueError(f"its 'data' does not have the structure of SQuAD's ({error})") from None


def _released(lengths: dict[str, dict[str, Any]]) -> list[Any]:
    """Length > paragraph > [question, its answers] as rows: the file of the code released with the paper.

    The file names no articles; the length that it lists for a paragraph is used as the title.
    """
    try:
        return [
            {
                "id": f"{length}-{number}-{index}",
                "title": length,
                "context": context,
                "question": question,
                "answers": {"text": answers},
            }
            for length, paragraphs in lengths.items()
            for number, (context, pairs) in enumerate(paragraphs.items())
            for index, (question, answers) in enumerate(pairs)
        ]
    except (TypeError, ValueError):  # nothing above but the file's content can raise these
        raise ValueError(
            "it contains neither rows nor an object of the form {length: {paragraph: [[question, answers]]}}"
        ) from None


def _hub() -> list[Any]:
    from datasets import load_dataset

    advice = (
        f"pass a local {_FORMATS} file in its schema, by --squad-source or, in lm-eval, --metadata "
        '\'{"squad_source": "FILE"}\''
    )
    doing = f"download {DEFAULT_SOURCE!r} (split {SPLIT}, revision {REVISION[:7]}) from the Hub"
    with hub_errors(doing, advice):
        return load_dataset(DEFAULT_SOURCE, split=SPLIT, revision=REVISION).to_list()
