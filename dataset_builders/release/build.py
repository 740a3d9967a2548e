"""Build configs into a folder: one Parquet file per config, ``manifest.json`` and the card.

An interrupted build loses only the config it was writing; the next build continues from there.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from dataset_builders.benchmark import Config, Row
from dataset_builders.checksum import content_sha256
from dataset_builders.config_documents import Documents, documents
from dataset_builders.errors import InputError
from dataset_builders.files import check_links, partial_path
from dataset_builders.release import eval_yaml
from dataset_builders.release.folder import CARD, write_card
from dataset_builders.release.manifest import (
    FILE,
    Entry,
    LengthSummary,
    Manifest,
    parquet_path,
    read_manifest,
)
from dataset_builders.release.parquet_file import check_size, parquet_writer, read_rows
from dataset_builders.release.prompt_lengths import PromptLengths
from dataset_builders.sources.tokenizer import load_tokenizer

LOCK = ".lock"


@dataclass(frozen=True)
class Result:
    """The result of building one config.

    Attributes:
        entry: the config's entry in the manifest.
        state: ``built``; ``kept`` if the config existed; ``kept, tokens counted`` if only prompt lengths in
            tokens were added.
    """

    entry: Entry
    state: str


def build(configs: Sequence[Config], folder: Path, sources: Mapping[str, str | None]) -> list[Result]:
    """Add configs to a folder; existing configs with the same arguments are kept.

    All arguments and sources are checked before the first row is built.

    Args:
        configs: the configs to build.
        folder: a new or empty folder, or one that this function filled.
        sources: files, folders or names on the Hub to build from; see
            ``dataset_builders.config_documents.documents``.

    Raises:
        InputError: a config cannot be built; the folder contains a damaged config, a config of the same name
            with other arguments, or other files; the disk is full; or another build is running in the folder.
    """
    planned = [(config, _planned(config, sources)) for config in {c.name: c for c in configs}.values()]
    with _own(folder) as manifest:
        for config, made in planned:
            if config.name in manifest.configs:
                _check_same(config, made, manifest.configs[config.name], folder)
        for name in manifest.configs.keys() - {config.name for config, _ in planned}:
            entry = manifest.configs[name]
            check_size(parquet_path(folder, name), entry.benchmark, entry.rows, entry.prompt_characters.max)
        results = []
        total = sum(int(config.arguments.get("num_docs", 0)) for config in configs) or None
        with tqdm(total=total, unit=" documents", disable=None, leave=False) as bar:
            for config, made in planned:
                bar.set_description(config.name)
                result = _build_or_keep(config, made, manifest, folder, bar)
                results.append(result)
                if manifest.configs.get(config.name) != result.entry:
                    manifest = manifest.with_entry(result.entry)
                    manifest.write(folder)
        write_card(folder, manifest)
        return results


def _planned(config: Config, sources: Mapping[str, str | None]) -> Documents:
    try:
        return documents(config, sources)
    except InputError as error:
        raise InputError(f"{config.name}: {error}") from None


@contextmanager
def _own(folder: Path) -> Iterator[Manifest]:
    """Lock the folder, read the manifest, and remove the partial files of interrupted builds."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; pass a folder with --out")
    check_links(folder, (LOCK, *(path.name for path in folder.glob("*"))))
    if (folder / FILE).exists():
        read_manifest(folder)  # nothing is written into the folder of another program
    elif {path.name for path in folder.glob("*")} - {LOCK, partial_path(Path(FILE)).name}:
        raise InputError(f"{folder} is not empty and has no {FILE}; pass a new folder with --out")
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(
            f"another build is running in {folder}; wait for it, or pass another folder with --out"
        ) from None
    except OSError as error:
        raise InputError(f"{folder} cannot be written to: {error.strerror or error}") from None
    try:
        if not (folder / FILE).exists():
            Manifest().write(folder)
        manifest = read_manifest(folder)
        _remove_partial_files(folder)
        yield manifest
    finally:
        lock.release()


def _remove_partial_files(folder: Path) -> None:
    """Remove the partial files that killed builds left in a folder; other hidden files are not touched."""
    written = (parquet_path(folder, "*"), *(folder / name for name in (FILE, CARD, eval_yaml.FILE)))
    for path in written:
        for partial in folder.glob(str(partial_path(path).relative_to(folder))):
            partial.unlink(missing_ok=True)


def _check_same(config: Config, made: Documents, entry: Entry, folder: Path) -> None:
    requested: dict[str, Any] = {**config.arguments, "documents version": made.version}
    there: dict[str, Any] = {**entry.arguments, "documents version": entry.documents_version}
    for what, new, old in (
        ("source", made.source, entry.source),
        ("tokenizer", made.tokenizer, entry.tokenizer),
    ):
        if new is not None and old is not None:
            requested[what] = f"{new.name} ({new.sha256[:12]})"
            there[what] = f"{old.name} ({old.sha256[:12]})"
            if new.sha256 == old.sha256:
                requested[what] = there[what]  # a file's name may change
    for what in {**there, **requested}:
        if requested.get(what) != there.get(what):
            raise InputError(
                f"{folder} already contains the config {config.name!r} with another {what}: "
                f"{there.get(what)}, not {requested.get(what)}; pass another folder with --out"
            )


def _build_or_keep(config: Config, made: Documents, manifest: Manifest, folder: Path, bar: Any) -> Result:
    path = parquet_path(folder, config.name)
    entry = manifest.configs.get(config.name)
    if entry is None or not path.exists():
        return Result(_build(config, made, path, bar), "built")
    check_size(path, config.benchmark, entry.rows, entry.prompt_characters.max)
    counting = made.tokenizer_name is not None and entry.prompt_tokens is None
    lengths = PromptLengths(load_tokenizer(made.tokenizer_name) if counting and made.tokenizer_name else None)
    if content_sha256(_measured(read_rows(path, config.benchmark), lengths, bar)) != entry.content_sha256:
        raise InputError(f"{path} does not match {FILE}: its checksum differs; delete it and build again")
    if counting:
        counted = replace(entry, tokenizer=made.tokenizer, prompt_tokens=lengths.tokens)
        return Result(counted, "kept, tokens counted")
    return Result(entry, "kept")


def _build(config: Config, made: Documents, path: Path, bar: Any) -> Entry:
    lengths = PromptLengths(load_tokenizer(made.tokenizer_name) if made.tokenizer_name else None)
    with parquet_writer(path, config.benchmark) as add:

        def written() -> Iterator[Row]:
            for row in _measured(made.rows, lengths, bar):
                add(row)
                yield row

        checksum = content_sha256(written())
    return Entry(
        benchmark=config.benchmark,
        documents_version=made.version,
        arguments=dict(config.arguments),
        source=made.source,
        tokenizer=made.tokenizer,
        columns=tuple(config.benchmark.columns),
        rows=len(lengths),
        content_sha256=checksum,
        prompt_characters=lengths.characters,
        prompt_tokens=lengths.tokens,
    )


def _measured(rows: Iterable[Row], lengths: PromptLengths, bar: Any) -> Iterator[Row]:
    for row in rows:
        lengths.add(row["prompt"])
        bar.update()
        yield row


def results_table(results: Sequence[Result]) -> str:
    """A table of configs: rows, prompt lengths (in tokens where they were counted), start of the checksum."""
    from tabulate import tabulate

    tokens = any(result.entry.prompt_tokens for result in results)
    return tabulate(
        [
            [
                result.entry.config.name,
                result.entry.rows,
                result.entry.prompt_characters.median,
                *(_token_cells(result.entry.prompt_tokens) if tokens else ()),
                result.entry.content_sha256[:12],
                result.state,
            ]
            for result in results
        ],
        [
            "config",
            "rows",
            "median characters",
            *(("median tokens", "most tokens") if tokens else ()),
            "sha256",
            "",
        ],
        disable_numparse=True,
        colalign=("left", "right", "right", *(("right", "right") if tokens else ()), "left", "left"),
    )


def _token_cells(tokens: LengthSummary | None) -> tuple[int | str, int | str]:
    return (tokens.median, tokens.max) if tokens else ("", "")
