"""Tables of results in documents, which are copied from files of results.

    python -m synthetic_training.documents

updates them. A document marks the place of each table with the file that it comes from, relative to the
document, and the number of the table in the file, from 1::

    <!-- table: results/efficiency_small.md 1 -->
    <!-- /table -->
"""

import re
from collections.abc import Sequence
from pathlib import Path

import tyro

from dataset_builders import InputError
from dataset_builders.command_line import command_errors
from dataset_builders.files import write_text

PACKAGE = Path(__file__).parent

_BLOCK = re.compile(r"(<!-- table: (\S+) (\d+) -->\n).*?(<!-- /table -->)", re.DOTALL)
_TABLE = re.compile(r"(?:^\|.*\n)+", re.MULTILINE)


def documents() -> list[Path]:
    """The documents of this package."""
    return sorted(PACKAGE.glob("*.md")) + sorted(
        file for file in PACKAGE.glob("*/*.md") if file.parent.name != "results"
    )


def with_tables(document: Path) -> str:
    """A document's text, with its tables replaced by those in the files.

    Raises:
        InputError: a file does not exist, or has no such table.
    """

    def table(block: re.Match[str]) -> str:
        file, number = document.parent / block[2], int(block[3])
        if not file.is_file():
            raise InputError(f"{document} has a table of {file}, which does not exist")
        tables = _TABLE.findall(file.read_text(encoding="utf-8"))
        if not 1 <= number <= len(tables):
            raise InputError(f"{document} has table {number} of {file}, which has {len(tables)}")
        return f"{block[1]}{tables[number - 1]}{block[4]}"

    return _BLOCK.sub(table, document.read_text(encoding="utf-8"))


def _write() -> None:
    """Write the tables of results into this package's documents."""
    for document in documents():
        text = with_tables(document)
        if text != document.read_text(encoding="utf-8"):
            write_text(document, text)
            print(f"written: {document}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; invalid input ends with one sentence and exit status 1."""
    with command_errors():
        tyro.cli(_write, prog="python -m synthetic_training.documents", args=arguments)


if __name__ == "__main__":
    main()
