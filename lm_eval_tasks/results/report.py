"""``python -m lm_eval_tasks report``: tables and plots of accuracy by length, and by training step."""

from pathlib import Path
from typing import Annotated

import tyro

from dataset_builders import InputError
from dataset_builders.command_help import DEFAULT_IN_TEXT, default_hint


def report(
    results: Annotated[tuple[Path, ...], tyro.conf.Positional, DEFAULT_IN_TEXT],
    out: Path,
    label: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    compare: Annotated[tuple[str, ...], tyro.conf.arg(metavar="A B", help_behavior_hint=default_hint)] = (),
) -> None:
    """Print a table of each benchmark's scores with 95% confidence intervals, and plot them by length.

    Further tables show each model's effective length and recalled bits, and its speed if it was measured.
    Checkpoints of one training run are also shown by training step. Controls are compared with their pairs,
    document by document.

    Args:
        results: results_*.json of lm_eval, or folders that contain them.
        out: Folder for the plots.
        label: NAME=PATTERN sets the label of the row whose label or model matches PATTERN to NAME; may be
            repeated.
        compare: Labels of two rows to compare by a paired test; needs samples (lm_eval --log_samples).

    Raises:
        InputError: the results cannot be read or drawn, a plot would replace a file of another program, or a
            label or row does not exist.
    """
    from dataset_builders.files import check_folder
    from lm_eval_tasks.results import read_reports
    from lm_eval_tasks.results.compare import compare_rows, comparison_table
    from lm_eval_tasks.results.controls import control_table, controls, without_pairs
    from lm_eval_tasks.results.samples import logged

    check_folder(out)
    reports = read_reports(results, label)
    compared = None
    if compare:
        if len(compare) != 2:
            raise InputError(
                f"--compare takes the labels of two rows, not {len(compare)}: {', '.join(compare)}"
            )
        scores = [score for one in reports for score in one.scores]
        compared = comparison_table(compare_rows(scores, *compare), *compare)
    drawn = [one.draw(out) for one in reports]  # before anything is printed, since a plot may not be writable
    for one, files in zip(reports, drawn, strict=True):
        print(f"## {one.benchmark}\n")
        for table in one.tables():
            print(f"{table}\n")
        if files:
            print(f"drawn: {', '.join(map(str, files))}\n")
    sampled = logged([score for one in reports for score in one.scores])
    beside_pairs = controls(sampled)
    if text := control_table(beside_pairs, without_pairs(sampled, beside_pairs)):
        print(f"## controls\n\n{text}\n")
    if compared is not None:
        print(f"## comparison\n\n{compared}\n")
