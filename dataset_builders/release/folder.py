"""A built folder as a release: checked against its manifest, and the files that are to be uploaded."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets import DatasetInfo, SplitDict, SplitInfo
from pyarrow.parquet import ParquetFile

from dataset_builders.benchmark import Row
from dataset_builders.checksum import content_sha256
from dataset_builders.errors import InputError
from dataset_builders.files import write_text
from dataset_builders.release import card, eval_yaml
from dataset_builders.release.manifest import FILE, Entry, Manifest, parquet_path, read_manifest
from dataset_builders.release.parquet_file import check_size, read_rows
from dataset_builders.release.schema import features

CARD = "README.md"

UNPUSHED = "FOLDER"
"""What a card calls a data set that has no name on the Hub yet."""


@dataclass(frozen=True)
class Release:
    """A built folder that is what its manifest says.

    Attributes:
        manifest: as it was read.
        content: the files that do not depend on where they go, by their path in the repository.
        infos: what ``datasets`` is to know of each config.
    """

    manifest: Manifest
    content: dict[str, bytes]
    infos: dict[str, DatasetInfo]

    def files(self, name: str, existing_card: str | None, replaced: Iterable[str]) -> dict[str, bytes]:
        """All files of the release, the card merged with the one that is there.

        Args:
            name: ``ORG/NAME``.
            existing_card, replaced: see ``card.merged``.

        Raises:
            InputError: the existing card cannot be merged with.
        """
        text = card.merged(card.card(self.manifest, self.infos, name), existing_card, replaced)
        return {CARD: text.encode(), **self.content}


def data_file(config: str) -> str:
    """Where a config's rows are, in a repository."""
    return parquet_path(Path(), config).as_posix()


def read_release(folder: Path) -> Release:
    """Read a built folder and hold every file against the manifest.

    Raises:
        InputError: there is no manifest, or it lists nothing; a file is missing, damaged, of other rows
            than the manifest says, or not listed.
    """
    manifest = read_manifest(folder)
    if not manifest.configs:
        raise InputError(f"{folder / FILE} lists no config: nothing was built there to the end")
    listed = {parquet_path(folder, name) for name in manifest.configs}
    for path in sorted(set(folder.glob("*/*.parquet")) - listed):
        raise InputError(f"{path} is not in {FILE}; build the config to its end, or delete the file")
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

    What people wrote into a card that is there is kept, as ``card.merged`` has it.

    Raises:
        InputError: a file cannot be written, or the existing card cannot be merged with.
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
        raise InputError(f"{path} is not what {FILE} says: its rows differ; delete it and build it again")


def _info(path: Path, entry: Entry) -> DatasetInfo:
    with ParquetFile(path) as file:
        size = file.read().nbytes
    return DatasetInfo(
        features=features(entry.benchmark),
        splits=SplitDict({"test": SplitInfo("test", num_bytes=size, num_examples=entry.rows)}),
        download_size=path.stat().st_size,
        dataset_size=size,
    )
