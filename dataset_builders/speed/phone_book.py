"""Time to build phone books, compared with ``names.get_full_name()`` for their names alone.

python -m dataset_builders.speed.phone_book
"""

import platform
import time
from collections import deque
from pathlib import Path

import names

from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json
from dataset_builders.machine import this_machine
from dataset_builders.markdown import markdown_table
from dataset_builders.phone_book import rows

_NAMES_SAMPLED = 2000  # calls of names.get_full_name(), which is too slow to draw all names of the books


def main(entries: int = 100, num_docs: int = 10_000, out: Path | None = None) -> None:
    """Time the building of phone books, and the drawing of the same number of names by the package names.

    Args:
        entries: Entries per book.
        num_docs: Number of books.
        out: JSON file for the results; it must not exist.
    """
    if out is not None:
        check_new_file(out)
    start = time.perf_counter()
    deque(rows(entries, num_docs, seed=0), maxlen=0)
    ours = time.perf_counter() - start

    start = time.perf_counter()
    for _ in range(_NAMES_SAMPLED):
        names.get_full_name()
    drawn = entries * num_docs
    theirs = (time.perf_counter() - start) / _NAMES_SAMPLED * drawn

    if out is not None:
        content = {
            "books_seconds": ours,
            "names_seconds": theirs,
            "ratio": theirs / ours,
            "options": {"entries": entries, "num_docs": num_docs, "names_sampled": _NAMES_SAMPLED},
            "machine": {"device": this_machine(), "python": platform.python_version()},
        }
        write_json(out, content)
    what = f"{num_docs} books of {entries} entries"
    print(
        markdown_table(
            ["", "seconds"],
            [
                [f"{what}: names, numbers, prompts", f"{ours:.1f}"],
                [
                    f"names.get_full_name() for {drawn} names, extrapolated from {_NAMES_SAMPLED}",
                    f"{theirs:.1f}",
                ],
                ["ratio", f"{theirs / ours:.0f}"],
            ],
        )
    )


if __name__ == "__main__":
    with command_errors():
        cli(main, prog="python -m dataset_builders.speed.phone_book")
