"""Reading a benchmark's released documents from the Hub or a folder."""

import logging
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.benchmark import Benchmark, Row
from dataset_builders.checksum import content_sha256
from dataset_builders.files import exact_pattern, user_path
from dataset_builders.hub import hub_errors
from dataset_builders.release.manifest import FILE, Manifest, read_manifest

log = logging.getLogger("lm_eval.repeat_after_me")


def read_config(
    benchmark: Benchmark, dataset: str, config: str, revision: str | None, expected: str | None
) -> list[Row]:
    """All rows of one config of a released data set.

    Args:
        benchmark: benchmark of the config, which defines the columns.
        dataset: ``ORG/NAME`` on the Hub, or a folder that contains ``CONFIG/test*.parquet``.
        config: name of the config, e.g. ``phone_book_20``.
        revision: branch, tag or commit on the Hub.
        expected: checksum of the rows; None if this version does not know it.

    Raises:
        InputError: the config cannot be read, lacks columns, or has other content than the benchmark.
    """
    where = f"the data set {dataset!r}"
    table = _load(dataset, config, revision, where)
    columns = list(benchmark.columns)
    missing = [column for column in columns if column not in table.column_names]
    if missing:
        raise InputError(
            f"{where} is not a release of this benchmark: its config {config!r} lacks the columns "
            f"{', '.join(missing)}"
        )
    rows: list[Row] = table.select_columns(columns).to_list()
    found = content_sha256(rows)
    if expected is None:
        _check_by_manifest(found, config, where, _manifest(dataset, revision))
    elif found != expected:
        raise InputError(
            f"{where} does not have this version's documents: the checksum of its config "
            f"{config!r} is {found[:12]}, not {expected[:12]}; use a release of the installed "
            "version, or omit 'dataset' to build the documents locally"
        )
    return rows


def _check_by_manifest(found: str, config: str, where: str, manifest: Manifest | None) -> None:
    """Check rows whose checksum is not known against the data set's own manifest."""
    if manifest is None or config not in manifest.configs:
        log.warning("%s: there is no checksum to verify its config %r", where, config)
    elif manifest.configs[config].content_sha256 != found:
        raise InputError(
            f"{where} is damaged: the rows of its config {config!r} do not match its {FILE}; use "
            "another revision"
        )


def _manifest(dataset: str, revision: str | None) -> Manifest | None:
    """The manifest of a data set; None if it has none."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError

    folder = user_path(dataset)
    if folder.is_dir():
        return read_manifest(folder) if (folder / FILE).exists() else None
    try:
        with hub_errors(f"read {FILE} of the data set {dataset!r}"):
            file = hf_hub_download(dataset, FILE, repo_type="dataset", revision=revision)
    except InputError as error:
        if isinstance(error.__context__, EntryNotFoundError):
            return None
        raise
    return read_manifest(Path(file).parent)


def _load(dataset: str, config: str, revision: str | None, where: str) -> Any:
    from datasets import load_dataset

    folder = user_path(dataset)
    if folder.is_dir():
        files = sorted(map(exact_pattern, (folder / config).glob("test*.parquet")))
        if not files:
            raise InputError(f"{where} has no file {config}/test*.parquet")
        with hub_errors(f"read {where}"):
            return load_dataset("parquet", data_files={"test": files}, split="test")
    advice = "pass a local folder as 'dataset', or omit it to build the documents locally"
    with hub_errors(f"read {where}", advice):
        return load_dataset(dataset, config, split="test", revision=revision)
