"""``python -m lm_eval_tasks leaderboard``: the results of several models as one page."""

import argparse
import sys
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.extras import require

_HEAD = 4096  # bytes of a page in which its generator tag stands


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments; importing this and calling it is cheap."""
    parser.add_argument(
        "results", nargs="+", type=Path, help="results_*.json of all models, or folders that hold them"
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for index.html")
    parser.add_argument(
        "--title", default="Copying and look-up by length", help="the page's title (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write the page, in place of an older one that this command wrote.

    Raises:
        InputError: the results hold nothing to show, or the file is another's or cannot be written.
    """
    require("publish")
    from dataset_builders.files import atomic_file
    from lm_eval_tasks.publish.leaderboard import page, render
    from lm_eval_tasks.publish.submission import of_the_benchmark
    from lm_eval_tasks.results.reader import read_scores

    file = arguments.out / "index.html"
    _check_file(file)
    scores, others = of_the_benchmark(read_scores(arguments.results))
    written = render(page(scores, others), arguments.title)
    with atomic_file(file) as stream:
        stream.write(written)
    if others:
        print(f"note: left out: {', '.join(dict.fromkeys(others))}", file=sys.stderr)
    print(f"written: {file}")


def _check_file(file: Path) -> None:
    from lm_eval_tasks.publish.leaderboard import GENERATOR

    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{file} cannot be replaced: {error.strerror}; give --out another folder") from None
    if f'<meta name="generator" content="{GENERATOR}">'.encode() not in head:
        raise InputError(
            f"{file} was not written by this command and is not overwritten; give --out another folder"
        )
