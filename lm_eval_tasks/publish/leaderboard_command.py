"""``python -m lm_eval_tasks leaderboard``: the results of several models as one page."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from dataset_builders import InputError
from dataset_builders.extras import require

_HEAD = 4096  # bytes of a page in which its generator tag stands


def leaderboard(
    results: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path,
    title: str = "Copying and look-up by length",
) -> None:
    """One page of several models' results: table and curves.

    The page replaces an older one that this command wrote.

    Args:
        results: results_*.json of all models, or folders that hold them.
        out: Folder for index.html.
        title: The page's title.

    Raises:
        InputError: the results hold nothing to show, or the file is another's or cannot be written.
    """
    require("publish")
    from dataset_builders.files import atomic_file
    from lm_eval_tasks.publish.leaderboard import page, render
    from lm_eval_tasks.publish.submission import of_the_benchmark
    from lm_eval_tasks.results.reader import read_scores

    file = out / "index.html"
    _check_file(file)
    scores, others = of_the_benchmark(read_scores(results))
    written = render(page(scores, others), title)
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
