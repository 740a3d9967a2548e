"""Compares controls with the benchmark that they vary, on pairs of documents with the same question.

The column ``pair`` of a control names the document of another benchmark with the same content and question.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dataset_builders import InputError
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.results.compare import Comparison, compare, p_text, paired_note
from lm_eval_tasks.results.identity import prompted_alike
from lm_eval_tasks.results.intervals import scale_of
from lm_eval_tasks.results.paired_intervals import Values
from lm_eval_tasks.results.samples import Sample
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.text import in_markdown
from lm_eval_tasks.twins import twin_of

PAIR = "pair"


@dataclass(frozen=True)
class Control:
    """A score of a control, compared with the score on the paired documents.

    Attributes:
        score: the control's score.
        pairs: benchmark of the paired documents, e.g. ``phone_book``.
        comparison: comparison of the control (first) with its pairs (second).
    """

    score: Score
    pairs: str
    comparison: Comparison


def controls(logged: Iterable[tuple[Score, Sequence[Sample]]]) -> list[Control]:
    """Every score of a control for which the same model was also evaluated on the paired documents.

    Args:
        logged: scores of all benchmarks with samples, from :func:`lm_eval_tasks.results.samples.logged`.

    Raises:
        InputError: a sample lacks its main metric.
    """
    everything = list(logged)
    found = []
    for score, samples in everything:
        wanted = _wanted(samples)
        for other, candidates in everything if wanted else ():
            if other is score or not _scored_alike(score, other):
                continue
            pairs = [(wanted[one.name], one) for one in candidates if one.name in wanted]
            if pairs:
                first, second = zip(*pairs, strict=True)
                scale = scale_of(score.main_metric or "", other.main_metric or "")
                compared = compare(_values(score, first), _values(other, second), scale)
                found.append(Control(score, other.benchmark, compared))
    return found


def without_pairs(logged: Iterable[tuple[Score, Sequence[Sample]]], found: Sequence[Control]) -> list[Score]:
    """The scores of controls for which :func:`controls` found no pairs."""
    compared = [one.score for one in found]
    return [score for score, samples in logged if _wanted(samples) and score not in compared]


def _wanted(samples: Sequence[Sample]) -> dict[str, Sample]:
    """The control's documents by name of the paired document."""
    return {str(sample.row[PAIR]): sample for sample in samples if sample.row.get(PAIR)}


def _scored_alike(one: Score, other: Score) -> bool:
    """Whether both scores are of the same model, prompted and scored in the same way."""
    return prompted_alike(one, other) and twin_of(one.benchmark) == twin_of(other.benchmark)


def _values(score: Score, samples: Sequence[Sample]) -> Values:
    metric = score.main_metric or ""
    if any(metric not in sample.values for sample in samples):
        raise InputError(f"the samples of {score.task} lack {metric} for some documents; run lm_eval again")
    return np.array([sample.values[metric] for sample in samples])


def control_table(found: Sequence[Control], alone: Sequence[Score] = ()) -> str:
    """The controls as a Markdown table: rows of models and controls.

    Args:
        found: the comparisons.
        alone: scores of controls without a pair, which are named below the table.

    Returns:
        The table; empty if there are neither.
    """
    parts = [_table(found)] if found else []
    if alone:
        names = [f"{in_markdown(one.label)} on {one.benchmark} at {_length(one)}" for one in alone]
        parts.append(
            f"Not compared: {', '.join(names)}. There are no samples of the same model on the paired "
            "documents (of the same seed and position), prompted alike and in the same precision."
        )
    return "\n\n".join(parts)


def _length(score: Score) -> str:
    return f"{score.length} {in_markdown(score.unit)}"


def _table(found: Sequence[Control]) -> str:
    rows = []
    for one in found:
        score, c = one.score, one.comparison
        rows.append([in_markdown(score.label), score.benchmark, _length(score), c.documents])
        rows[-1] += [f"{c.second:.3f}", f"{c.first:.3f}", c.difference_text, p_text(c.p_value)]
    headers = ["model", "control", "length", "documents", "pairs", "control's", "difference", "p"]
    names = ", ".join(dict.fromkeys(one.pairs for one in found))
    return (
        f"{markdown_table(headers, rows)}\n\nEach document is compared with the document of {names} with the "
        "same question: the main metric of both, and the difference. Brackets: "
        f"{paired_note(one.comparison for one in found)}. The p-values (paired tests) are not corrected for "
        "the number of rows."
    )
