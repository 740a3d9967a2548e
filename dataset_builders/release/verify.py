"""Verify a built data set: compare its files with its manifest and with newly built documents."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from dataset_builders.benchmark import TOKENIZER, Row
from dataset_builders.checksum import content_sha256
from dataset_builders.config_documents import Documents, documents
from dataset_builders.errors import InputError
from dataset_builders.files import user_path
from dataset_builders.release.manifest import FILE, Entry, Manifest, parquet_path, read_manifest
from dataset_builders.release.parquet_file import check_size, read_rows
from dataset_builders.release.prompt_lengths import PromptLengths
from dataset_builders.sources.origin import Origin, option
from dataset_builders.sources.tokenizer import load_tokenizer

SAME = "same"


@dataclass(frozen=True)
class Outcome:
    """The result of verifying one config: ``state`` is ``SAME``, or says what is wrong."""

    config: str
    rows: int
    sha256: str
    state: str


@contextmanager
def local_folder(dataset: str, revision: str | None) -> Iterator[Path]:
    """A folder with a data set's files: a local folder, or a copy of ``ORG/NAME`` on the Hub.

    Raises:
        InputError: there is neither a folder nor a data set of this name.
    """
    folder = user_path(dataset)
    if folder.is_dir():
        if revision is not None:
            raise InputError(f"{dataset} is a local folder, which has no revisions; omit --revision")
        yield folder
    elif not re.fullmatch(r"[\w.-]+/[\w.-]+", dataset):
        raise InputError(f"there is no folder {dataset!r}; pass a folder, or ORG/NAME on the Hub")
    else:
        from huggingface_hub import snapshot_download

        from dataset_builders.hub import check_repo_id, hub_errors

        check_repo_id(dataset)
        with TemporaryDirectory() as temporary:
            with hub_errors(f"read the data set {dataset!r}"):
                snapshot_download(
                    dataset,
                    repo_type="dataset",
                    revision=revision,
                    local_dir=temporary,
                    allow_patterns=[FILE, "*.parquet"],
                )
            yield Path(temporary)


def verify(folder: Path, sources: Mapping[str, str | None]) -> Iterator[Outcome]:
    """One outcome per config in the manifest, and per file that is not listed in it.

    Args:
        folder: the data set.
        sources: local sources and tokenizers from which the data set was built, by the builder's parameter;
            the manifest records sources on the Hub.

    Raises:
        InputError: the manifest cannot be read or is empty; a local source is missing, or differs from the
            source of the data set.
    """
    manifest = read_manifest(folder)
    if not manifest.configs:
        raise InputError(f"{folder / FILE} lists no config; build at least one config into the folder first")
    made_again = {name: _documents(entry, sources) for name, entry in manifest.configs.items()}
    return _outcomes(folder, manifest, made_again)


def _outcomes(folder: Path, manifest: Manifest, made_again: dict[str, Documents]) -> Iterator[Outcome]:
    for name, entry in manifest.configs.items():
        state = _state(parquet_path(folder, name), entry, made_again[name])
        yield Outcome(name, entry.rows, entry.content_sha256, state)
    known = {parquet_path(folder, name) for name in manifest.configs}
    for path in sorted(set(folder.glob("*/*.parquet")) - known):
        yield Outcome(str(path.relative_to(folder)), 0, "", f"not listed in {FILE}")


def _documents(entry: Entry, sources: Mapping[str, str | None]) -> Documents:
    benchmark = entry.benchmark
    used = dict(sources)
    if benchmark.source is not None:
        name = benchmark.source.parameter
        used[name] = _given(entry, entry.source, name, sources.get(name))
    if TOKENIZER in benchmark.source_parameters:
        used[TOKENIZER] = _given(entry, entry.tokenizer, TOKENIZER, sources.get(TOKENIZER))
    if entry.tokenizer is None:
        used[TOKENIZER] = None
    found = documents(entry.config, used)
    _check(entry, TOKENIZER, found.tokenizer, entry.tokenizer)
    if benchmark.source is not None:
        _check(entry, benchmark.source.parameter, found.source, entry.source)
    return found


def _given(entry: Entry, origin: Origin | None, parameter: str, given: str | None) -> str | None:
    if origin is None or given is not None:
        return given
    if not origin.on_hub:
        raise InputError(
            f"the config {entry.config.name!r} was built from the local source {origin.name!r}; "
            "pass it, as in "
            f"{option(parameter)} {origin.name}"
        )
    return origin.name


def _check(entry: Entry, parameter: str, found: Origin | None, kept: Origin | None) -> None:
    if found is not None and kept is not None and found.sha256 != kept.sha256:
        raise InputError(
            f"the config {entry.config.name!r} was built from {kept.name!r} with the checksum "
            f"{kept.sha256[:12]}, but {found.name!r} has the checksum {found.sha256[:12]}; pass the same "
            f"{option(parameter)}"
        )


def _state(path: Path, entry: Entry, made: Documents) -> str:
    if entry.columns != tuple(entry.benchmark.columns):
        return f"the columns are not {', '.join(entry.benchmark.columns)}"
    if entry.documents_version != made.version:
        return (
            f"documents of version {entry.documents_version}, but the installed builder makes {made.version}"
        )
    lengths = PromptLengths(load_tokenizer(made.tokenizer_name) if made.tokenizer_name else None)
    try:
        check_size(path, entry.benchmark, entry.rows, entry.prompt_characters.max)
        if content_sha256(_measured(read_rows(path, entry.benchmark), lengths)) != entry.content_sha256:
            return "the file's rows do not have the checksum in the manifest"
    except InputError as error:
        return str(error)
    if entry.rows != len(lengths) or entry.prompt_characters != lengths.characters:
        return "the file's rows differ in number or length from the manifest"
    if made.tokenizer_name and entry.prompt_tokens != lengths.tokens:
        return "the lengths of the file's prompts in tokens differ from the manifest"
    # a damaged manifest may list any number of documents: build no more documents than the file contains
    if content_sha256(islice(made.rows, entry.rows + 1)) != entry.content_sha256:
        return "the rebuilt documents differ"
    return SAME


def _measured(rows: Iterator[Row], lengths: PromptLengths) -> Iterator[Row]:
    for row in rows:
        lengths.add(row["prompt"])
        yield row
