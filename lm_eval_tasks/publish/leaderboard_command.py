"""``python -m lm_eval_tasks leaderboard``: the results of several models as a web page."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from dataset_builders.command_help import DEFAULT_IN_TEXT
from dataset_builders.extras import require


def leaderboard(
    results: Annotated[tuple[Path, ...], tyro.conf.Positional, DEFAULT_IN_TEXT],
    out: Path,
    title: str = "Copying and look-up by length",
    label: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
) -> None:
    """Write the results of several models as a web page, with tables and charts.

    An earlier page of this command is replaced.

    Args:
        results: results_*.json of all models, or folders that contain them.
        out: Folder for index.html.
        title: Title of the page.
        label: NAME=PATTERN sets the label of the row whose label or model matches PATTERN to NAME; may be
            repeated.

    Raises:
        InputError: there are no results to show, a result file is incomplete, or the output file cannot be
            written or is not an earlier page.
    """
    require("publish")
    from dataset_builders.files import atomic_file
    from lm_eval_tasks.publish.eligibility import leaderboard_scores
    from lm_eval_tasks.publish.leaderboard import page, render
    from lm_eval_tasks.results.rows import read_scores

    file = out / "index.html"
    _check_file(file)
    scores, others = leaderboard_scores(read_scores(results, label))
    written = render(page(scores, others), title)
    with atomic_file(file) as stream:
        stream.write(written)
    if others:
        print(f"note: left out: {', '.join(dict.fromkeys(others))}", file=sys.stderr)
    print(f"written: {file}")


def _check_file(file: Path) -> None:
    from dataset_builders.files import check_written_by_us
    from lm_eval_tasks.publish.leaderboard import GENERATOR

    mark = f'<meta name="generator" content="{GENERATOR}">'
    check_written_by_us(file, mark, "was not written by this command", "pass another --out folder")
