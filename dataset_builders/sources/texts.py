"""The first few megabytes of running text from a data set on the Hub, a file or a folder, as documents."""

import hashlib
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dataset_builders.checks import first_line
from dataset_builders.errors import InputError
from dataset_builders.files import exact_pattern, read_bounded, user_path
from dataset_builders.hub import hub_errors

MAX_CHARACTERS = 4_000_000
"""Maximum number of characters read from a source: enough for the benchmark, and a small download."""

_MAX_BYTES = 2**30
"""Maximum size of a file of plain text in bytes; only its beginning is used."""

_PINNED = {"allenai/c4": ("en", "1588ec454efa1a09f29cd18ddd04fe05fc8653a2")}
"""Config and revision of each data set that is read at a pinned revision."""

_FORMATS = {".jsonl": "json", ".json": "json", ".gz": "json", ".parquet": "parquet"}
_TEXTS = (".txt", ".md", ".text")
_COLUMN = "text"


@dataclass(frozen=True)
class Texts:
    """The documents of a source.

    Attributes:
        documents: non-empty texts, in the source's order.
        revision: the Hub's revision; empty for files.
    """

    documents: tuple[str, ...]
    revision: str

    @property
    def sha256(self) -> str:
        """Checksum of the documents."""
        digest = hashlib.sha256()
        for document in self.documents:
            digest.update(document.encode("utf-8", "surrogatepass") + b"\0")
        return digest.hexdigest()


def read_texts(source: str) -> Texts:
    """The first ``MAX_CHARACTERS`` of a source; the last document is not cut.

    Args:
        source: a text file (one document); JSON lines, which may be compressed by gzip, or Parquet with a
            column ``text`` (one document per row); a folder of text files (one document per file, sorted by
            name); or ``ORG/NAME`` on the Hub (split ``train``, streamed; the benchmark's own source at a
            pinned revision).

    Raises:
        InputError: the source does not exist, cannot be read, or contains no text.
    """
    path = user_path(source)
    revision = ""
    if path.is_dir():
        documents = _first(map(_text, _text_files(path)))
    elif path.is_file():
        documents = _first(_file(path))
    elif path.suffix or path.is_absolute() or source.count("/") != 1:
        raise InputError(
            f"the source {source!r} does not exist; pass a file, a folder or ORG/NAME on the Hub"
        )
    else:
        documents, revision = _hub(source)
    if not documents:
        raise InputError(f"the source {source!r} contains no text")
    return Texts(tuple(documents), revision)


def _first(texts: Iterable[str]) -> list[str]:
    documents: list[str] = []
    characters = 0
    for text in texts:
        if text:
            documents.append(text)
            characters += len(text)
        if characters >= MAX_CHARACTERS:
            break
    return documents


def _text_files(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if file.suffix in _TEXTS)
    except OSError as error:
        raise InputError(f"the folder {str(folder)!r} cannot be read: {error.strerror}") from None


def _file(path: Path) -> Iterator[str]:
    if path.suffix not in _FORMATS:
        yield _text(path)
        return
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError
    from pyarrow.lib import ArrowException

    try:
        pattern = exact_pattern(path)
        table = load_dataset(_FORMATS[path.suffix], data_files=pattern, split="train", streaming=True)
        yield from _column(table, str(path))
    except InputError:
        raise
    except StopIteration:  # from datasets, if the file is empty
        return
    # zlib.error and EOFError: gzip files that are damaged or truncated; ValueError: JSON
    except (OSError, EOFError, ValueError, DatasetsError, ArrowException, zlib.error) as error:
        raise InputError(f"the source {str(path)!r} cannot be read: {first_line(error)}") from None


def _text(path: Path) -> str:
    try:
        # universal newlines: line ends of every system are read as newlines
        return io.StringIO(read_bounded(path, _MAX_BYTES).decode(), newline=None).read()
    except UnicodeDecodeError as error:
        raise InputError(f"the source {str(path)!r} cannot be read as UTF-8 text: {error}") from None


def _column(table: Iterable[dict[str, str]], source: str) -> Iterator[str]:
    for row in table:
        if not isinstance(row.get(_COLUMN), str):
            raise InputError(
                f"the source {source!r} has no column {_COLUMN!r} of strings; its columns are "
                f"{', '.join(row)}"
            )
        yield row[_COLUMN]


def _hub(name: str) -> tuple[list[str], str]:
    from datasets import load_dataset
    from huggingface_hub import HfApi

    config, revision = _PINNED.get(name, (None, None))
    advice = (
        "pass a local text, JSON-lines or Parquet file or a folder of texts, by --source or, in lm-eval, "
        '--metadata \'{"source": "FILE"}\''
    )
    with hub_errors(f"read the data set {name!r} from the Hub", advice):
        revision = revision or HfApi().dataset_info(name).sha
        table = load_dataset(name, config, split="train", streaming=True, revision=revision)
        return _first(_column(table, name)), revision or ""
