"""The benchmark's released documents: which they are, and reading them from the Hub or a folder."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256

log = logging.getLogger("lm_eval.repeat_after_me")


@dataclass(frozen=True)
class Release:
    """What ``release.json`` beside a task's YAML files says of the benchmark's documents.

    Attributes:
        columns: the columns of every config.
        sha256: ``content_sha256`` of each config's rows; None where this version does not know it.
    """

    columns: tuple[str, ...]
    sha256: dict[str, str | None]

    @classmethod
    def beside(cls, module_file: str) -> "Release":
        kept = json.loads(Path(module_file).with_name("release.json").read_text())
        return cls(columns=tuple(kept["columns"]), sha256=kept["sha256"])

    def read(self, dataset: str, config: str, revision: str | None) -> list[dict[str, Any]]:
        """All rows of one config of a released data set.

        Args:
            dataset: ``ORG/NAME`` on the Hub, or a folder that holds ``CONFIG/test*.parquet``.
            config: name of the config, e.g. ``phone_book_20``.
            revision: branch, tag or commit on the Hub.

        Raises:
            InputError: it cannot be read, has other columns, or its content is not the benchmark's.
        """
        where = f"the data set {dataset!r}"
        table = _load(dataset, config, revision, where)
        missing = [column for column in self.columns if column not in table.column_names]
        if missing:
            raise InputError(
                f"{where} is not a release of this benchmark: its config {config!r} lacks the columns "
                f"{', '.join(missing)}"
            )
        rows = table.select_columns(list(self.columns)).to_list()
        found, expected = content_sha256(rows), self.sha256[config]
        if expected is None:
            log.warning(
                "%s: this version keeps no checksum of the config %r to hold it against", where, config
            )
        elif found != expected:
            raise InputError(
                f"{where} does not hold this version's documents: the checksum of its config "
                f"{config!r} is {found[:12]} where {expected[:12]} was expected; use a release of the "
                "version installed, or leave 'dataset' out to build the documents here"
            )
        return rows


def _load(dataset: str, config: str, revision: str | None, where: str) -> Any:
    from datasets import load_dataset
    from datasets.exceptions import DatasetNotFoundError

    folder = Path(dataset).expanduser()
    if folder.is_dir():
        files = sorted(str(file) for file in (folder / config).glob("test*.parquet"))
        if not files:
            raise InputError(f"{where} holds no file {config}/test*.parquet")
        return load_dataset("parquet", data_files={"test": files}, split="test")
    try:
        return load_dataset(dataset, config, split="test", revision=revision)
    except DatasetNotFoundError:
        raise InputError(
            f"{where} is neither a folder here nor a data set on the Hub that you may read"
        ) from None
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"{where} cannot be read: {reason}; give a local folder as 'dataset', or leave it out to "
            "build the documents here"
        ) from None
