"""Tables in documents are copies of those in files of results."""

from pathlib import Path

import pytest

from dataset_builders import InputError
from dataset_builders.document_tables import check_tables, main, with_tables, write_tables

RESULTS = """# results

## phone_book: scores

| model    | metric        | 20 entries         |
|----------|---------------|--------------------|
| a        | exact_match   | 0.500 [0.25, 0.75] |
| a        | char_accuracy | 0.6                |
| a, plain | exact_match   | 1.000              |

Below it.

## nothing

## controls

| p |
|---|
| 1 |
"""


def document(folder: Path, marker: str) -> Path:
    (folder / "results").mkdir(exist_ok=True)
    (folder / "results" / "r.md").write_text(RESULTS)
    file = folder / "docs" / "page.md"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"Before.\n\n<!-- table: ../results/r.md {marker} -->\nold\n<!-- /table -->\n\nAfter.\n")
    return file


def table(folder: Path, marker: str) -> list[str]:
    """The lines of the table that the marker asks for."""
    text = with_tables(document(folder, marker))
    start, end = f"Before.\n\n<!-- table: ../results/r.md {marker} -->\n", "<!-- /table -->\n\nAfter.\n"
    assert text.startswith(start) and text.endswith(end)
    return text.removeprefix(start).removesuffix(end).splitlines()


def test_a_whole_table_is_copied_by_its_number_or_heading(tmp_path: Path) -> None:
    whole = [line for line in RESULTS.splitlines() if line.startswith("|")]
    assert table(tmp_path, "1") == table(tmp_path, "phone_book: scores") == whole[:5]
    assert table(tmp_path, "2") == table(tmp_path, "controls") == whole[5:]


def test_rows_and_columns_are_chosen_by_name(tmp_path: Path) -> None:
    assert table(tmp_path, "1; metric: exact_match; columns: 20 entries | model") == [
        "| 20 entries | model |",
        "| --- | --- |",
        "| 0.500 [0.25, 0.75] | a |",
        "| 1.000 | a, plain |",
    ]
    assert table(tmp_path, "1; model: a; metric: char_accuracy | exact_match")[2:] == [
        "| a | exact_match | 0.500 [0.25, 0.75] |",
        "| a | char_accuracy | 0.6 |",
    ]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        ("3", "table 3 of .*r.md, which has 2"),
        ("nothing", "'nothing' of .*r.md, which has no table below such a heading"),
        ("1; model: b", "no row has b in the column 'model'"),
        ("1; size: 3", "no column 'size'; its columns are model, metric, 20 entries"),
        ("1; columns: 40 entries", "no column '40 entries'"),
    ],
)
def test_a_table_that_is_not_there_is_named(tmp_path: Path, marker: str, message: str) -> None:
    with pytest.raises(InputError, match=f"page.md: .*{message}"):
        with_tables(document(tmp_path, marker))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    file = document(tmp_path, "1")
    (tmp_path / "results" / "r.md").unlink()
    with pytest.raises(InputError, match="r.md, which does not exist"):
        with_tables(file)


def test_a_file_of_code_is_copied(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""A file."""\nx = 1\n\n')
    file = tmp_path / "page.md"
    file.write_text("Before.\n<!-- code: a.py -->\n```python\nold\n```\n<!-- /code -->\nAfter.\n")
    expected = '```python\n"""A file."""\nx = 1\n```\n'
    assert with_tables(file) == f"Before.\n<!-- code: a.py -->\n{expected}<!-- /code -->\nAfter.\n"
    (tmp_path / "a.py").unlink()
    with pytest.raises(InputError, match="page.md: it shows the code of .*a.py, which does not exist"):
        with_tables(file)


def test_code_is_left_as_it_is(tmp_path: Path) -> None:
    file = document(tmp_path, "1")
    file.write_text(f"```\n{file.read_text()}```\n")
    assert with_tables(file) == file.read_text()


def test_outdated_tables_are_found_and_written_once(tmp_path: Path) -> None:
    file = document(tmp_path, "1")
    with pytest.raises(InputError, match="the tables or the code in docs/page.md are not up to date"):
        check_tables(tmp_path)
    assert write_tables(tmp_path) == [file]
    assert write_tables(tmp_path) == []
    check_tables(tmp_path)


def test_the_command_finds_the_documents_of_the_repository_up_to_date() -> None:
    main(["--check"])
