"""Rows are read from Parquet files as they were written."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders.checksum import content_sha256
from dataset_builders.registry import find
from dataset_builders.release.parquet_file import check_size, parquet_writer, read_rows

_HOSTILE = st.text() | st.sampled_from(
    ["", "\x00", "\ufeffa", "e\u0301", "\u2028", "\U0010ffff", "\r\n\n", "ﬁ"]
)

_ROW = st.fixed_dictionaries(
    {
        "id": _HOSTILE,
        "prompt": _HOSTILE,
        "answers": st.lists(_HOSTILE, max_size=3),
        "title": _HOSTILE,
        "paragraph_tokens": st.integers(-(2**63), 2**63 - 1),
    }
)


@given(rows=st.lists(_ROW, max_size=4))
@settings(max_examples=100, deadline=None)
def test_parquet_changes_no_row(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("rows") / "test.parquet"
    with parquet_writer(path, find("squad_v2_retrieval")) as add:
        for row in rows:
            add(row)
    assert content_sha256(read_rows(path, find("squad_v2_retrieval"))) == content_sha256(rows)
    assert list(read_rows(path, find("squad_v2_retrieval"))) == rows


def test_every_column_may_be_as_long_as_the_prompt_in_any_script(tmp_path: Path) -> None:
    path, text = tmp_path / "test.parquet", "𒀀" * 20_000  # of four bytes each
    with parquet_writer(path, find("c4_copy")) as add:
        add({"id": "0", "prompt": text, "answer": f"{text[1:]}.", "tokens": 1, "order": "standard"})
    check_size(path, find("c4_copy"), 1, len(text))


def test_many_rows_are_written_in_groups_and_in_their_order(tmp_path: Path) -> None:
    about = {"answer": "a", "entries": 1, "query_position": 0}
    rows = [{"id": str(n), "prompt": f"{n} " * 100_000, **about} for n in range(50)]
    path = tmp_path / "test.parquet"
    with parquet_writer(path, find("phone_book")) as add:
        for row in rows:
            add(row)
    assert pq.ParquetFile(path).num_row_groups == 2  # of at most 8,000,000 characters and one row
    assert list(read_rows(path, find("phone_book"))) == rows
