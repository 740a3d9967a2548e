"""A config's rows as one Parquet file, written and read in row groups."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow.parquet import ParquetFile, ParquetWriter

from dataset_builders.benchmark import Benchmark, Row
from dataset_builders.checks import first_line
from dataset_builders.errors import InputError
from dataset_builders.files import atomic_file
from dataset_builders.release.schema import arrow_schema

_GROUP_CHARACTERS = 8_000_000  # characters of prompts per row group, which is kept in memory while writing
_READ_ROWS = 50
_READ_BYTES = 64 * 2**20  # maximum size of a column's values in the rows that are read together

_CHARACTER_BYTES = 4
_SPARE_CHARACTERS = 10_000  # allowed per row beyond its prompt: answers, ids, and what the format adds
_MAX_BYTES = 16 * 2**30


@contextmanager
def parquet_writer(path: Path, benchmark: Benchmark) -> Iterator[Callable[[Row], None]]:
    """Yields a function that adds a row of a benchmark; the complete file appears when the context ends.

    Raises:
        InputError: the file cannot be written.
    """
    schema = arrow_schema(benchmark)
    group: list[Row] = []
    characters = 0

    with atomic_file(path) as file, ParquetWriter(file, schema, compression="zstd") as writer:

        def flush() -> None:
            nonlocal characters
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
            group.clear()
            characters = 0

        def add(row: Row) -> None:
            nonlocal characters
            group.append(row)
            characters += len(row["prompt"])
            if characters >= _GROUP_CHARACTERS:
                flush()

        yield add
        if group:
            flush()


def check_size(path: Path, benchmark: Benchmark, rows: int, prompt_characters: int) -> None:
    """Compare a file's metadata with the expected size before anything is decompressed.

    A Parquet file of a few kilobytes can decompress to gigabytes.

    Args:
        path: the file.
        benchmark: benchmark of the rows.
        rows: expected number of rows.
        prompt_characters: expected length of the longest prompt.

    Raises:
        InputError: the file is missing or damaged, has another number of rows, or decompresses to far more
            text than these rows can contain.
    """
    with _opened(path) as file:
        found = file.metadata.num_rows
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if found != rows:
        raise InputError(f"{path} has {found} rows, not {rows} as the manifest says")
    per_row = _CHARACTER_BYTES * (prompt_characters * len(benchmark.columns) + _SPARE_CHARACTERS)
    if size > min(max(1, rows) * per_row, _MAX_BYTES):
        raise InputError(f"{path} is damaged: it decompresses to {size} bytes, too many for its rows")


def read_rows(path: Path, benchmark: Benchmark) -> Iterator[Row]:
    """The rows of a file, in order.

    Raises:
        InputError: the file is missing or damaged, or its columns are not the benchmark's.
    """
    wanted = arrow_schema(benchmark)
    with _opened(path) as file:
        if not file.schema_arrow.equals(wanted):
            raise InputError(f"{path} does not have the columns {', '.join(wanted.names)}")
        for batch in file.iter_batches(batch_size=_rows_at_once(file)):
            yield from batch.to_pylist()


def _rows_at_once(file: ParquetFile) -> int:
    """Number of rows that fit into ``_READ_BYTES``, however long their values are.

    A column may refer to one long value many times, so that the size of a file, even without compression,
    does not bound the size of its rows. But no value is longer than its column.
    """
    groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
    sizes = [group.column(i).total_uncompressed_size for group in groups for i in range(group.num_columns)]
    return max(1, min(_READ_ROWS, _READ_BYTES // max(1, *sizes, 1)))


def uncompressed_bytes(path: Path) -> int:
    """The size of a file's rows in memory.

    Raises:
        InputError: the file is missing or damaged.
    """
    with _opened(path) as file:
        size: int = file.read().nbytes
        return size


@contextmanager
def _opened(path: Path) -> Iterator[ParquetFile]:
    try:
        # not ParquetFile(path), which reads the path "s3:/data" as an address and expands "~"
        with path.open("rb") as stream, ParquetFile(stream) as file:
            yield file
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} is missing; build its config again") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{path} is damaged: {first_line(error)}") from None
