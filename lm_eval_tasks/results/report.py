"""``python -m lm_eval_tasks report``: tables and plots of accuracy by length, and by training step."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from dataset_builders import InputError

if TYPE_CHECKING:
    from lm_eval_tasks.results.score import Score


def report(
    results: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path,
    label: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = (),
    compare: Annotated[tuple[str, ...], tyro.conf.arg(metavar="A B")] = (),
) -> None:
    """Print a table of each benchmark's scores with 95% confidence intervals, and draw them by length.

    A second table has the effective length and the recalled bits of each model. Rows that are checkpoints
    of one training run are also shown by training step. Controls are compared with their pairs, document by
    document.

    Args:
        results: results_*.json of lm_eval, or folders that hold them.
        out: Folder for the plots.
        label: NAME=PATTERN: call the row whose label or model matches the pattern NAME; may be repeated.
        compare: Labels of two rows to compare by a paired test; needs samples (lm_eval --log_samples).

    Raises:
        InputError: the results cannot be read or drawn, or a label or row is not there.
    """
    from lm_eval_tasks.results.capacity import capacity_table
    from lm_eval_tasks.results.compare import compare_rows, comparison_table
    from lm_eval_tasks.results.controls import control_table, controls
    from lm_eval_tasks.results.plots import draw, draw_by_state, draw_sweeps, styles
    from lm_eval_tasks.results.rows import by_benchmark, read_scores, row_labels
    from lm_eval_tasks.results.samples import logged
    from lm_eval_tasks.results.sweep import sweep_table, sweeps
    from lm_eval_tasks.results.table import table

    scores = read_scores(results, label)
    compared = None
    if compare:
        if len(compare) != 2:
            raise InputError(
                f"--compare takes the labels of two rows, not {len(compare)}: {', '.join(compare)}"
            )
        compared = comparison_table(compare_rows(scores, *compare), *compare)
    style_of = styles(row_labels(scores))
    for benchmark, own in by_benchmark(scores).items():
        print(f"## {benchmark}\n\n{table(own)}\n")
        if capacity := capacity_table(own):
            print(f"{capacity}\n")
        files = draw(benchmark, own, style_of, out)
        runs = sweeps(own)
        for run in runs:
            print(f"{sweep_table(run)}\n")
        files += draw_sweeps(benchmark, runs, out)
        files += draw_by_state(benchmark, own, style_of, out)
        files += _from_samples(benchmark, own, out)
        if files:
            print(f"drawn: {', '.join(map(str, files))}\n")
    if beside_pairs := controls(logged(scores)):
        print(f"## controls\n\n{control_table(beside_pairs)}\n")
    if compared is not None:
        print(f"## comparison\n\n{compared}\n")


def _from_samples(benchmark: str, scores: "Sequence[Score]", out: Path) -> list[Path]:
    """Print and draw what the logged samples of a benchmark's scores tell; return the files."""
    from lm_eval_tasks.results.errors import count_errors, error_table
    from lm_eval_tasks.results.positions import asked, copied_fractions, first_error_table, position_table
    from lm_eval_tasks.results.sample_plots import draw_errors, draw_first_errors, draw_positions
    from lm_eval_tasks.results.samples import logged

    found, unit = logged(scores), scores[0].unit
    documents, errors, fractions = asked(found), count_errors(found), copied_fractions(found)
    if table := position_table(documents):
        print(f"{table}\n")
    if errors:
        print(f"{error_table(errors, unit)}\n")
    if fractions:
        print(f"{first_error_table(fractions, unit)}\n")
    files = draw_positions(benchmark, documents, unit, out)
    files += draw_errors(benchmark, errors, unit, out)
    return files + draw_first_errors(benchmark, fractions, unit, out)
