"""``manifest.json``: the arguments, provenance and checksum of each config of a built data set.

The file is a published interface. It contains a JSON object with the fields

========== ===================================================================================
format     version of this layout, ``FORMAT``
builder    ``repeat-after-me``
version    version of the builder that last wrote the file
configs    object: name of a config, which is the name of its folder -> an object as below
========== ===================================================================================

and, for each config, an object with the fields

================== ===========================================================================
benchmark          name of the benchmark, e.g. ``phone_book``
documents_version  version of the benchmark's documents; the same arguments and version give the
                   same documents
arguments          object: keyword arguments of the benchmark's builder, except source and tokenizer
source             null, or the source of the documents' text, as an origin (below); its checksum
                   is over the texts that were read, independent of their file format
tokenizer          null, or the tokenizer that counted ``prompt_tokens``, as an origin; if the builder
                   takes a tokenizer, the documents depend on it; the checksum is of tokenizer.json
columns            array: names of the columns, in order
rows               number of rows
content_sha256     checksum of the rows, see ``dataset_builders.checksum``; compression and other
                   choices of the Parquet writer do not change it
prompt_characters  object: ``min``, ``median`` (the lower one) and ``max`` length of the prompts
prompt_tokens      the same in tokens; null if no tokenizer was given
================== ===========================================================================

An origin is an object with ``name`` (of the repository on the Hub, or of the file or folder without its
parent folders), ``on_hub``, ``revision`` (the commit on the Hub; null if unknown) and ``sha256``. A config is
complete if the manifest lists it; a file that is not listed was left by an interrupted build.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, StrictInt, StrictStr, ValidationError

from dataset_builders.benchmark import TOKENIZER, Benchmark, Config
from dataset_builders.checks import first_problem
from dataset_builders.errors import InputError
from dataset_builders.files import read_json, write_json
from dataset_builders.registry import benchmarks, find
from dataset_builders.sources.origin import Origin

FORMAT = 1
BUILDER = "repeat-after-me"
FILE = "manifest.json"

_CONFIG_NAME = re.compile(r"\w+", re.ASCII)


@dataclass(frozen=True)
class LengthSummary:
    """Minimum, lower median and maximum of lengths."""

    min: StrictInt
    median: StrictInt
    max: StrictInt


@dataclass(frozen=True)
class Entry:
    """The manifest's entry of one config; see the module's docstring."""

    benchmark: Benchmark
    documents_version: str
    arguments: Mapping[str, Any]
    source: Origin | None
    tokenizer: Origin | None
    columns: tuple[str, ...]
    rows: int
    content_sha256: str
    prompt_characters: LengthSummary
    prompt_tokens: LengthSummary | None

    @property
    def config(self) -> Config:
        return Config(self.benchmark, self.arguments)

    def as_json(self) -> dict[str, Any]:
        """The entry as it is written to the file."""
        return {
            "benchmark": self.benchmark.name,
            "documents_version": self.documents_version,
            "arguments": dict(self.arguments),
            "source": None if self.source is None else asdict(self.source),
            "tokenizer": None if self.tokenizer is None else asdict(self.tokenizer),
            "columns": list(self.columns),
            "rows": self.rows,
            "content_sha256": self.content_sha256,
            "prompt_characters": asdict(self.prompt_characters),
            "prompt_tokens": None if self.prompt_tokens is None else asdict(self.prompt_tokens),
        }


@dataclass(frozen=True)
class Manifest:
    """The configs of a data set's folder.

    Attributes:
        configs: entries by config name.
        version: version of the builder that wrote it.
    """

    configs: dict[str, Entry] = field(default_factory=dict)
    version: str = field(default_factory=lambda: version(BUILDER))

    def with_entry(self, entry: Entry) -> "Manifest":
        """A copy with one config added or replaced, written by this version of the builder.

        Configs are in the order of the release, so that the files do not depend on the order of builds.
        """
        configs = {**self.configs, entry.config.name: entry}
        return Manifest(dict(sorted(configs.items(), key=lambda config: _place(config[1]))))

    def write(self, folder: Path) -> None:
        """Write the manifest of a folder atomically.

        Raises:
            InputError: the file cannot be written.
        """
        configs = {name: entry.as_json() for name, entry in self.configs.items()}
        content = {"format": FORMAT, "builder": BUILDER, "version": self.version, "configs": configs}
        write_json(folder / FILE, content)


def _place(entry: Entry) -> tuple[int, int, list[int]]:
    """The place of a config in the release: by benchmark, variant and length."""
    benchmark, arguments = entry.benchmark, entry.arguments
    series = list(benchmark.series).index(benchmark.series_of(arguments))
    numbers = [int(number) for number in re.findall(r"\d+", benchmark.lengths.label(arguments))]
    return list(benchmarks()).index(benchmark.name), series, numbers


def parquet_path(folder: Path, config: str) -> Path:
    """Path of a config's rows in a data set's folder."""
    return folder / config / "test-00000-of-00001.parquet"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a built data set.

    Raises:
        InputError: there is no manifest, it is damaged, or it has another format.
    """
    path = folder / FILE
    if not path.exists():
        raise InputError(f"{folder} is not a data set built by {BUILDER}: it has no {FILE}")
    content = read_json(path)
    if not isinstance(content, dict) or content.get("builder") != BUILDER:
        raise InputError(f"{path} is not a manifest of {BUILDER}")
    if content.get("format") != FORMAT or content["format"] is True:  # True equals 1
        raise InputError(
            f"{path} has the format {content.get('format')!r}, but this version of {BUILDER} reads {FORMAT}"
        )
    try:
        kept = _File.model_validate(content)
        return Manifest({name: _entry(name, one) for name, one in kept.configs.items()}, kept.version)
    except ValidationError as error:
        raise InputError(f"{path} is damaged: {first_problem(error)}") from None
    except InputError as error:
        raise InputError(f"{path} is damaged: {error}") from None


class _Kept(BaseModel):
    """An entry as it is in the file; other fields are ignored."""

    benchmark: StrictStr
    documents_version: StrictStr
    arguments: dict[StrictStr, Any]
    source: Origin | None
    tokenizer: Origin | None
    columns: list[StrictStr]
    rows: StrictInt
    content_sha256: StrictStr
    prompt_characters: LengthSummary
    prompt_tokens: LengthSummary | None


class _File(BaseModel):
    """The fields of the file that depend on its data set."""

    configs: dict[StrictStr, _Kept]
    version: StrictStr


def _entry(name: str, kept: _Kept) -> Entry:
    entry = Entry(
        benchmark=find(kept.benchmark),
        documents_version=kept.documents_version,
        arguments=kept.arguments,
        source=kept.source,
        tokenizer=kept.tokenizer,
        columns=tuple(kept.columns),
        rows=kept.rows,
        content_sha256=kept.content_sha256,
        prompt_characters=kept.prompt_characters,
        prompt_tokens=kept.prompt_tokens,
    )
    if entry.config.name != name:
        raise InputError(f"the config {name!r} has the arguments of {entry.config.name!r}")
    if not _CONFIG_NAME.fullmatch(name):  # the name becomes the name of a folder
        raise InputError(f"{name!r} cannot be the name of a config")
    benchmark = entry.benchmark
    if benchmark.series_of(entry.arguments) not in benchmark.series:
        raise InputError(f"the config {name!r} has a variant that {benchmark.name} does not have")
    if (entry.source is None) != (benchmark.source is None):
        kind = "no source" if benchmark.source is None else "a source"
        raise InputError(f"the config {name!r} must have {kind}, like all configs of {benchmark.name}")
    if entry.tokenizer is None and TOKENIZER in benchmark.source_parameters:
        raise InputError(f"the config {name!r} must have a tokenizer, like all configs of {benchmark.name}")
    if (entry.tokenizer is None) != (entry.prompt_tokens is None):
        raise InputError(f"the config {name!r} has only one of tokenizer and prompt_tokens")
    return entry
