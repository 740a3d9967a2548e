"""Accuracy by queried position, and positions of the first errors in copies."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dataset_builders import InputError
from dataset_builders.checks import is_integer
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.results.intervals import interval, mean_interval, with_interval
from lm_eval_tasks.results.known_tasks import benchmark_of
from lm_eval_tasks.results.samples import Sample
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.text import in_markdown
from lm_eval_tasks.twins import GAIN

TENTHS = 10

METRIC, _COPIED = "exact_match", "copied_fraction"


@dataclass(frozen=True)
class QueriedDocument:
    """One document: the queried position, and whether the answer is correct.

    Attributes:
        label: label of the row.
        length: length of the task, e.g. number of entries.
        positions: number of positions that can be queried, e.g. number of entries.
        position: index of the queried position, from 0 to ``positions`` - 1.
        right: whether the answer is correct.
    """

    label: str
    length: int
    positions: int
    position: int
    right: bool

    @property
    def tenth(self) -> int:
        """The tenth of the document that is queried, from 0 to 9."""
        return self.position * TENTHS // self.positions

    @property
    def distance(self) -> int:
        """The distance from the end: 1 for the last entry."""
        return self.positions - self.position


def queried_documents(logged: Iterable[tuple[Score, Sequence[Sample]]]) -> list[QueriedDocument]:
    """Every document of the scores whose benchmark queries one position, except truncated documents.

    Raises:
        InputError: a sample has no score, or no position within its document.
    """
    found = []
    for score, samples in logged:
        evaluation = benchmark_of(score.task).evaluation
        column = evaluation.position
        for sample in samples if column is not None and not score.benchmark.endswith(GAIN) else ():
            position, right = sample.row.get(column or ""), sample.values.get(METRIC)
            count = score.length if evaluation.positions is None else sample.row.get(evaluation.positions)
            if right is None or not (is_integer(position) and is_integer(count) and 0 <= position < count):
                raise InputError(
                    f"the samples of {score.task} lack {METRIC} or a valid {column}; run lm_eval again"
                )
            if not sample.truncated:
                found.append(QueriedDocument(score.label, score.length, count, position, right == 1.0))
    return found


def cells(documents: Iterable[QueriedDocument]) -> dict[tuple[str, int, int], list[bool]]:
    """Whether the answer to each document is correct, by (label, length, tenth)."""
    found: dict[tuple[str, int, int], list[bool]] = {}
    for one in documents:
        found.setdefault((one.label, one.length, one.tenth), []).append(one.right)
    return found


def position_table(documents: Sequence[QueriedDocument]) -> str:
    """Accuracy by tenth of the document as a Markdown table, with means over the lengths of a row.

    A row has the tenths that are queried by at least one of its documents. Lengths that lack documents in one
    of these tenths are left out, so that all cells of a row are means over the same lengths. A row without
    any length left is named below the table; if there is no other row, there is no table.
    """
    by_cell = cells(documents)
    lengths = sorted({length for _, length, _ in by_cell})
    rows, left_out = [], []
    for label in dict.fromkeys(one.label for one in documents):
        tenths = sorted({tenth for name, _, tenth in by_cell if name == label})
        whole = [n for n in lengths if all((label, n, tenth) in by_cell for tenth in tenths)]
        if whole:
            means = {tenth: _mean([by_cell[label, n, tenth] for n in whole]) for tenth in tenths}
            row = [means.get(tenth, "") for tenth in range(TENTHS)]
            rows.append([in_markdown(label), ", ".join(map(str, whole)), *row])
        else:
            left_out.append(in_markdown(label))
    if not rows:
        return ""
    too_few = "Left out, because no single length has documents in every tenth that was queried: "
    note = f" {too_few}{', '.join(left_out)}." if left_out else ""
    headers = ["model", "lengths", "first tenth", *(f"{k}." for k in range(2, TENTHS)), "last tenth"]
    return (
        f"{markdown_table(headers, rows)}\n\nAccuracy by queried position, in tenths of the document: means "
        f"over lengths. Brackets: 95% confidence intervals, combined from Wilson's intervals.{note}"
    )


def _mean(groups: Sequence[Sequence[bool]]) -> str:
    means = [sum(right) / len(right) for right in groups]
    ends = [interval(METRIC, mean, None, len(right)) for mean, right in zip(means, groups, strict=True)]
    return with_interval(sum(means) / len(means), mean_interval(means, ends))


def copied_fractions(logged: Iterable[tuple[Score, Sequence[Sample]]]) -> dict[tuple[str, int], list[float]]:
    """The fraction copied before the first error, for each document of a copy task, by (label, length).

    Fractions are sorted; 1 is an answer without an error. Truncated documents are left out.
    """
    found = {}
    for score, samples in logged:
        if benchmark_of(score.task).evaluation.position is None:
            fractions = [s.values[_COPIED] for s in samples if _COPIED in s.values and not s.truncated]
            if fractions:
                found[score.label, score.length] = sorted(fractions)
    return found


def first_error_table(fractions: Mapping[tuple[str, int], Sequence[float]], unit: str) -> str:
    """Table of the position of the first error in per cent of the answer, as quartiles over documents."""
    lengths = sorted({length for _, length in fractions})
    rows = []
    for label in dict.fromkeys(label for label, _ in fractions):
        rows.append([in_markdown(label)])
        for length in lengths:
            own = fractions.get((label, length))
            rows[-1].append(_quartiles(own) if own else "")
    headers = ["model", *(f"{length} {in_markdown(unit)}" for length in lengths)]
    return (
        f"{markdown_table(headers, rows)}\n\nHow much of the answer comes before its first error, in per "
        "cent: median [lower and upper quartile] over documents; 100 is no error."
    )


def _quartiles(fractions: Sequence[float]) -> str:
    low, middle, high = (100 * float(at) for at in np.quantile(fractions, (0.25, 0.5, 0.75)))
    return f"{middle:.0f} [{low:.0f}, {high:.0f}]"
