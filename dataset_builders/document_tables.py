"""Copies tables from result files, and files of code, into documents.

    python -m dataset_builders.document_tables

updates all copies. A document marks the position of a table and names its file, relative to the document. The
table is identified by its number in the file, from 1, or by the heading above it::

    <!-- table: results/efficiency_small.md 1 -->
    <!-- /table -->

A document may show some of the rows and columns. Each option after a semicolon names a column and the values
whose rows are shown; ``columns`` names the columns that are shown::

    <!-- table: results/phone_book.md phone_book: scores; metric: exact_match; columns: model | 20 entries -->
    <!-- /table -->

A whole file of Python is shown in the same way, so that code hosts and the site both show it::

    <!-- code: ../tests/echo_benchmark.py -->
    <!-- /code -->
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import write_text

REPOSITORY = Path(__file__).parents[1]

_FOLDERS = ("", "docs", "dataset_builders", "lm_eval_tasks", "synthetic_training")
_BLOCK = re.compile(
    r"(?P<code><!-- code: (?P<source>\S+) -->\n).*?(?P<code_end><!-- /code -->)"
    r"|^```.*?^```"
    r"|(?P<table><!-- table: (?P<file>\S+) (?P<name>[^;\n]+?)(?P<options>; [^\n]+?)? -->\n)"
    r".*?(?P<table_end><!-- /table -->)",
    re.DOTALL | re.MULTILINE,
)
"""A block for a file of code; another block of code, in which markers are ignored; or a block for a table."""
_TABLE = re.compile(r"(?:^\|.*\n?)+", re.MULTILINE)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def documents(root: Path = REPOSITORY) -> list[Path]:
    """The documents of the repository, except result files."""
    found = [file for name in _FOLDERS for file in (root / name).glob("**/*.md" if name else "*.md")]
    return sorted(file for file in found if file.parent.name != "results")


def with_tables(document: Path) -> str:
    """The text of a document with the current tables of the result files, and the current code.

    Raises:
        InputError: a file does not exist, or has no such table, column or row.
    """

    def filled(block: re.Match[str]) -> str:
        try:
            if block["code"]:
                return f"{block['code']}{_code(document.parent / block['source'])}{block['code_end']}"
            if block["table"]:
                found = _find(document.parent / block["file"], block["name"])
                return f"{block['table']}{_selected(found, block['options'])}{block['table_end']}"
        except InputError as error:
            raise InputError(f"{document}: {error}") from None
        return block[0]

    return _BLOCK.sub(filled, document.read_text(encoding="utf-8"))


def _code(file: Path) -> str:
    """A Python file as a block of code."""
    if not file.is_file():
        raise InputError(f"it shows the code of {file}, which does not exist")
    return f"```python\n{file.read_text(encoding='utf-8').rstrip()}\n```\n"


def _find(file: Path, name: str) -> str:
    """A table of a file, by its number or by its heading."""
    if not file.is_file():
        raise InputError(f"it shows a table of {file}, which does not exist")
    text = file.read_text(encoding="utf-8")
    if name.isdigit():
        tables = _TABLE.findall(text)
        if not 1 <= int(name) <= len(tables):
            raise InputError(f"it shows table {name} of {file}, which has {len(tables)}")
        return _with_end(tables[int(name) - 1])
    headings = list(_HEADING.finditer(text))
    ends = [*(heading.start() for heading in headings[1:]), len(text)]
    for heading, end in zip(headings, ends, strict=False):
        below = _TABLE.search(text, heading.end(), end)
        if heading[1] == name and below:
            return _with_end(below[0])
    raise InputError(f"it shows the table {name!r} of {file}, which has no table below such a heading")


def _with_end(table: str) -> str:
    return table if table.endswith("\n") else f"{table}\n"


def _selected(table: str, options: str | None) -> str:
    """The selected rows and columns of a table."""
    if not options:
        return table
    header, _, *rows = (_cells(line) for line in table.splitlines())
    columns = header
    for option in options.removeprefix("; ").split("; "):
        name, _, given = option.partition(": ")
        values = [value.strip() for value in given.split("|")]
        if name == "columns":
            columns = values
            continue
        rows = [row for row in rows if row[_index(name, header)] in values]
        missing = set(values) - {row[_index(name, header)] for row in rows}
        if missing:
            raise InputError(f"no row has {', '.join(sorted(missing))} in the column {name!r}")
    indices = [_index(name, header) for name in columns]
    lines = [columns, ["---"] * len(columns), *([row[index] for index in indices] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def _index(name: str, header: Sequence[str]) -> int:
    if name not in header:
        raise InputError(f"the table has no column {name!r}; its columns are {', '.join(header)}")
    return header.index(name)


def outdated(root: Path = REPOSITORY) -> Iterator[tuple[Path, str]]:
    """The documents whose tables or code differ from the files, each with its correct text.

    Raises:
        InputError: as in :func:`with_tables`.
    """
    for document in documents(root):
        text = with_tables(document)
        if text != document.read_text(encoding="utf-8"):
            yield document, text


def write_tables(root: Path = REPOSITORY) -> list[Path]:
    """Write tables and code into the documents of the repository, and return those that have changed.

    Raises:
        InputError: as in :func:`with_tables`, or a document cannot be written.
    """
    changed = []
    for document, text in list(outdated(root)):
        write_text(document, text)
        changed.append(document)
    return changed


def check_tables(root: Path = REPOSITORY) -> None:
    """Check that tables and code in documents are the same as in the files.

    Raises:
        InputError: tables or code differ from the files.
    """
    if wrong := [str(document.relative_to(root)) for document, _ in outdated(root)]:
        raise InputError(
            f"the tables or the code in {', '.join(wrong)} are not up to date; run "
            "`python -m dataset_builders.document_tables`"
        )


def _write(check: bool = False) -> None:
    """Copy tables of results and files of code into the documents of the repository.

    Args:
        check: Write nothing, and fail if a table or code is not up to date.
    """
    if check:
        check_tables()
        return
    for document in write_tables():
        print(f"written: {document}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. For invalid input, print one sentence and exit with status 1."""
    with command_errors():
        cli(_write, prog="python -m dataset_builders.document_tables", args=arguments)


if __name__ == "__main__":
    main()
