"""From a config, texts and a tokenizer to its documents, and to where they come from."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from dataset_builders import c4_copy, phone_book
from dataset_builders import squad_v2_retrieval as squad
from dataset_builders.benchmark import Config
from dataset_builders.checksum import content_sha256
from dataset_builders.release.manifest import Origin
from dataset_builders.sources.tokenizer import DEFAULT_TOKENIZER, load_tokenizer
from dataset_builders.string_tasks import documents as string_documents
from dataset_builders.string_tasks import string_task_class

Rows = Iterable[dict[str, Any]]

VERSIONS = {
    "phone_book": phone_book.VERSION,
    "c4_copy": c4_copy.VERSION,
    "squad_v2_retrieval": squad.VERSION,
}


@dataclass(frozen=True)
class Material:
    """What documents are made from, by file, folder or name on the Hub; None for the benchmark's own.

    Attributes:
        source: texts of ``c4_copy``.
        squad_source: paragraphs and questions of ``squad_v2_retrieval``.
        tokenizer: measures lengths; without one, prompts of phone books and strings are not counted.
    """

    source: str | None = None
    squad_source: str | None = None
    tokenizer: str | None = None


@dataclass(frozen=True)
class Documents:
    """Documents of one config.

    Attributes:
        rows: made as they are asked for, once.
        version: version of the task's documents.
        source: what they are cut from; None where the arguments alone make them.
        tokenizer: the one they depend on, or else the one that their prompts shall be counted with.
        tokenizer_name: as ``load_tokenizer`` takes it; None where there is none.
    """

    rows: Rows
    version: str
    source: Origin | None
    tokenizer: Origin | None
    tokenizer_name: str | None


def documents(config: Config, material: Material) -> Documents:
    """The documents of a config; arguments and sources are checked here, before a row is made.

    Raises:
        InputError: an argument is out of range, or a source or tokenizer cannot be read or has no such
            documents.
    """
    tokenizer, source = material.tokenizer, None
    arguments = dict(config.arguments)
    rows: Rows
    if config.task == "phone_book":
        rows = phone_book.rows(**arguments)
    elif config.task == "strings":
        rows = string_documents.rows(**arguments)
    else:
        tokenizer = tokenizer or DEFAULT_TOKENIZER
        if config.task == "c4_copy":
            given = material.source or c4_copy.DEFAULT_SOURCE
            rows = c4_copy.rows(**arguments, source=given, tokenizer=tokenizer)
            source = _texts_origin(given, tokenizer)
        else:
            given = material.squad_source or squad.DEFAULT_SOURCE
            rows = squad.rows(**arguments, source=given, tokenizer=tokenizer)
            source = _squad_origin(given, tokenizer)
    origin = None if tokenizer is None else _tokenizer_origin(tokenizer)
    return Documents(rows, _version(config), source, origin, tokenizer)


def _version(config: Config) -> str:
    if config.task == "strings":
        return string_task_class(config.arguments["task"]).version
    return VERSIONS[config.task]


def _texts_origin(source: str, tokenizer: str) -> Origin:
    kept = c4_copy.pool(source, tokenizer).provenance
    revision = kept["source_revision"] or None
    return Origin(
        _public_name(source, revision is not None), revision is not None, revision, kept["source_sha256"]
    )


@lru_cache(maxsize=2)
def _squad_origin(source: str, tokenizer: str) -> Origin:
    on_hub = source == squad.DEFAULT_SOURCE
    found = squad.paragraphs(source, tokenizer)
    checksum = content_sha256(
        {"id": p.question_id, "title": p.title, "prompt": p.prompt, "answers": p.answers} for p in found
    )
    return Origin(_public_name(source, on_hub), on_hub, squad.REVISION if on_hub else None, checksum)


def _tokenizer_origin(tokenizer: str) -> Origin:
    on_hub = not Path(tokenizer).expanduser().exists()
    return Origin(_public_name(tokenizer, on_hub), on_hub, None, load_tokenizer(tokenizer).sha256)


def _public_name(source: str, on_hub: bool) -> str:
    """A name that says nothing of the machine: folders that a local file lies in are left out."""
    return source if on_hub else Path(source).expanduser().resolve().name
