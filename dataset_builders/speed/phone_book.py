"""Time to build phone books, compared with ``names.get_full_name()`` for their names alone.

python -m dataset_builders.speed.phone_book
"""

import argparse
import time
from collections import deque

import names
from tabulate import tabulate

from dataset_builders.command_line import command_errors
from dataset_builders.phone_book import rows

_NAMES_SAMPLED = 2000  # calls of names.get_full_name(), which is too slow to draw all names of the books


def main() -> None:
    """Build the books, and print both times."""
    parser = argparse.ArgumentParser(prog="python -m dataset_builders.speed.phone_book")
    parser.add_argument("--entries", type=int, default=100)
    parser.add_argument("--num-docs", type=int, default=10_000)
    arguments = parser.parse_args()

    start = time.perf_counter()
    deque(rows(arguments.entries, arguments.num_docs, seed=0), maxlen=0)
    ours = time.perf_counter() - start

    start = time.perf_counter()
    for _ in range(_NAMES_SAMPLED):
        names.get_full_name()
    drawn = arguments.entries * arguments.num_docs
    theirs = (time.perf_counter() - start) / _NAMES_SAMPLED * drawn

    what = f"{arguments.num_docs} books of {arguments.entries} entries"
    print(
        tabulate(
            [
                [f"{what}: names, numbers, prompts", f"{ours:.1f}"],
                [f"names.get_full_name() for {drawn} names, from {_NAMES_SAMPLED}", f"{theirs:.1f}"],
                ["ratio", f"{theirs / ours:.0f}"],
            ],
            ["", "seconds"],
            tablefmt="github",
            disable_numparse=True,
        )
    )


if __name__ == "__main__":
    with command_errors():
        main()
