"""A built folder as a release: check it against its manifest, and collect the files to upload."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets import DatasetInfo, SplitDict, SplitInfo

from dataset_builders.benchmark import Row
from dataset_builders.checksum import content_sha256
from dataset_builders.errors import InputError
from dataset_builders.files import write_text
from dataset_builders.release import card, eval_yaml
from dataset_builders.release.manifest import FILE, Entry, Manifest, parquet_path, read_manifest
from dataset_builders.release.parquet_file import check_size, read_rows, uncompressed_bytes
from dataset_builders.release.schema import features

CARD = "README.md"

UNPUSHED = "FOLDER"
"""Name on the card of a data set that is not on the Hub yet."""


@dataclass(frozen=True)
class Release:
    """A built folder that matches its manifest.

    Attributes:
        manifest: manifest of the folder.
        content: contents of the files that do not depend on the repository, by path in the repository.
        infos: ``DatasetInfo`` of each config.
    """

    manifest: Manifest
    content: dict[str, bytes]
    infos: dict[str, DatasetInfo]

    def files(self, name: str, existing_card: str | None, replaced: Iterable[str]) -> dict[str, bytes]:
        """All files of the release, with the card merged into the existing one.

        Args:
            name: ``ORG/NAME`` on the Hub.
            existing_card: content of the repository's README.md; None if there is none.
            replaced: configs of the previous release, which this release replaces or drops.

        Raises:
            InputError: the existing card cannot be merged.
        """
        text = card.merged(card.card(self.manifest, self.infos, name), existing_card, replaced)
        return {CARD: text.encode(), **self.content}


def data_file(config: str) -> str:
    """Path of a config's rows in a repository."""
    return parquet_path(Path(), config).as_posix()


def read_release(folder: Path) -> Release:
    """Read a built folder and check every file against the manifest.

    Raises:
        InputError: there is no manifest, or it is empty; or a file is missing, damaged, not listed, or does
            not match the manifest.
    """
    manifest = read_manifest(folder)
    if not manifest.configs:
        raise InputError(f"{folder / FILE} lists no config; build at least one config into the folder first")
    listed = {parquet_path(folder, name) for name in manifest.configs}
    for path in sorted(set(folder.glob("*/*.parquet")) - listed):
        raise InputError(f"{path} is not listed in {FILE}; build the config completely, or delete the file")
    infos = {}
    content = {FILE: (folder / FILE).read_bytes(), eval_yaml.FILE: eval_yaml.eval_yaml(manifest).encode()}
    for name, entry in manifest.configs.items():
        path = parquet_path(folder, name)
        _check(path, entry)
        content[data_file(name)] = path.read_bytes()
        infos[name] = _info(path, entry)
    return Release(manifest, content, infos)


def write_card(folder: Path, manifest: Manifest) -> None:
    """Write a built folder's card, README.md, and eval.yaml; ``datasets`` then knows the folder's configs.

    What people added to an existing card is kept; see ``card.merged``.

    Raises:
        InputError: a file cannot be written, or the existing card cannot be merged.
    """
    infos = {name: _info(parquet_path(folder, name), entry) for name, entry in manifest.configs.items()}
    path = folder / CARD
    existing = path.read_text(encoding="utf-8", errors="replace") if path.exists() else None
    made = card.card(manifest, infos, UNPUSHED)
    write_text(path, card.merged(made, existing, manifest.configs))
    write_text(folder / eval_yaml.FILE, eval_yaml.eval_yaml(manifest))


def _check(path: Path, entry: Entry) -> None:
    check_size(path, entry.benchmark, entry.rows, entry.prompt_characters.max)
    rows = 0

    def counted() -> Iterator[Row]:
        nonlocal rows
        for row in read_rows(path, entry.benchmark):
            rows += 1
            yield row

    if content_sha256(counted()) != entry.content_sha256 or rows != entry.rows:
        raise InputError(f"{path} does not match {FILE}: its rows differ; delete it and build again")


def _info(path: Path, entry: Entry) -> DatasetInfo:
    size = uncompressed_bytes(path)
    return DatasetInfo(
        features=features(entry.benchmark),
        splits=SplitDict({"test": SplitInfo("test", num_bytes=size, num_examples=entry.rows)}),
        download_size=path.stat().st_size,
        dataset_size=size,
    )
