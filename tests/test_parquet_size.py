"""A Parquet file is compared with the manifest before anything is decompressed."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_builders import InputError
from dataset_builders.registry import find
from dataset_builders.release import folder as release_folder
from dataset_builders.release.build import build
from dataset_builders.release.folder import read_release
from dataset_builders.release.manifest import parquet_path
from dataset_builders.release.parquet_file import read_rows
from dataset_builders.release.schema import arrow_schema


def bomb(path: Path, rows: int, characters: int) -> None:
    """Replace a config's file by long, equal prompts, which compress to almost nothing."""
    schema = arrow_schema(find("phone_book"))
    row: dict[str, Any] = {
        name: "x" if pa.types.is_string(kind) else 1
        for name, kind in zip(schema.names, schema.types, strict=True)
    }
    row["prompt"] = "x" * characters
    table = pa.Table.from_pylist([row] * rows, schema=schema)
    pq.write_table(table, path, compression="zstd", use_dictionary=False)


def test_one_long_value_that_rows_share_is_not_copied_for_many_of_them(tmp_path: Path) -> None:
    """20 MB in the file, and 1 GB in its rows."""
    schema = arrow_schema(find("phone_book"))
    rows, value = 50, "x" * 20_000_000
    index = pa.array([0] * rows, pa.int32())
    columns = [
        pa.DictionaryArray.from_arrays(index, pa.array([value if name == "prompt" else "x"]))
        if pa.types.is_string(kind)
        else pa.array([1] * rows, kind)
        for name, kind in zip(schema.names, schema.types, strict=True)
    ]
    path = tmp_path / "shared.parquet"
    table = pa.Table.from_arrays(columns, names=schema.names)
    pq.write_table(table, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 20_000
    before = pa.total_allocated_bytes()
    found = read_rows(path, find("phone_book"))
    assert len(next(found)["prompt"]) == len(value)
    assert pa.total_allocated_bytes() - before < 300_000_000
    found.close()


def test_a_small_file_of_much_text_is_not_decompressed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build(find("phone_book").configs([20], num_docs=5), tmp_path, {})
    read_release(tmp_path)
    path = parquet_path(tmp_path, "phone_book_20")

    def decompress(*_: Any) -> None:
        raise AssertionError("it was decompressed")

    monkeypatch.setattr(release_folder, "read_rows", decompress)
    bomb(path, 5, 10_000_000)
    assert path.stat().st_size < 100_000
    with pytest.raises(InputError, match="it decompresses to 5.* bytes, too many for its rows"):
        read_release(tmp_path)
    bomb(path, 5000, 10)
    with pytest.raises(InputError, match="has 5000 rows, not 5 as the manifest says"):
        read_release(tmp_path)
