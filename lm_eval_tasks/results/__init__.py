"""Reads lm-eval's result files into numbers, tables and plots; start with :func:`read_reports`."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lm_eval_tasks.results.benchmark_report import BenchmarkReport

__all__ = ["read_reports"]


def read_reports(paths: Iterable[Path], labels: Sequence[str] = ()) -> "list[BenchmarkReport]":
    """One report for each benchmark in result files of lm-eval.

    Args:
        paths: result files (``results_*.json``), or folders that contain them.
        labels: ``NAME=PATTERN`` sets the label of the row whose label or model matches PATTERN to NAME.

    Raises:
        InputError: a path contains no results of this package's tasks, or a label does not match exactly one
            row.
    """
    from lm_eval_tasks.results.benchmark_report import BenchmarkReport
    from lm_eval_tasks.results.plots import styles
    from lm_eval_tasks.results.rows import by_benchmark, read_scores, row_labels

    scores = read_scores(paths, labels)
    style_of = styles(row_labels(scores))
    return [BenchmarkReport(name, own, style_of) for name, own in by_benchmark(scores).items()]
