"""Compares two models by a paired test on the documents that both were evaluated on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from dataset_builders.intervals import CONFIDENCE
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.results.intervals import Scale, scale_of
from lm_eval_tasks.results.paired_intervals import Values, paired_interval
from lm_eval_tasks.results.rows import row_labels
from lm_eval_tasks.results.samples import Sample, read_samples
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.text import in_markdown

RESAMPLES = 9999
MCNEMAR, PERMUTATION = "McNemar, exact", "permutation, paired"


@dataclass(frozen=True)
class Comparison:
    """Two models on the same documents.

    Attributes:
        documents: number of documents.
        first: the first model's mean of the metric.
        second: the second model's mean of the metric.
        ends: ends of the 95% interval of ``first - second``; None if there is none.
        first_better: number of documents on which the first model scores higher.
        second_better: number of documents on which the second model scores higher.
        p_value: p-value of the hypothesis that the models score alike.
        test: name of the test.
    """

    documents: int
    first: float
    second: float
    ends: tuple[float, float] | None
    first_better: int
    second_better: int
    p_value: float
    test: str

    @property
    def difference(self) -> float:
        """``first - second``."""
        return self.first - self.second

    @property
    def difference_text(self) -> str:
        """The difference with its interval, as in ``+0.250 [+0.01, +0.48]``."""
        text = f"{self.difference:+.3f}"
        return text if self.ends is None else f"{text} [{self.ends[0]:+.2f}, {self.ends[1]:+.2f}]"


def compare(first: Values, second: Values, scale: Scale) -> Comparison:
    """Compare two models by their values on the same documents.

    The p-value is from McNemar's exact test if all values are 0 or 1, and otherwise from a paired permutation
    test of the mean, which flips the signs of differences (of many documents at random, with a fixed seed).
    The interval is that of :func:`~lm_eval_tasks.results.paired_intervals.paired_interval`.

    Args:
        first: the first model's values, (documents,).
        second: the second model's values on the same documents, (documents,).
        scale: scale of the values.
    """
    difference = first - second
    better, worse = int((difference > 0).sum()), int((difference < 0).sum())
    if scale == "binary":
        test = MCNEMAR
        p_value = float(stats.binomtest(better, better + worse).pvalue) if better + worse else 1.0
    else:
        test = PERMUTATION
        p_value = _permutation(difference)
    return Comparison(
        documents=len(difference),
        first=float(first.mean()),
        second=float(second.mean()),
        ends=paired_interval(difference, scale),
        first_better=better,
        second_better=worse,
        p_value=p_value,
        test=test,
    )


def _mean(values: Values, axis: int = -1) -> Values:
    return np.asarray(values.mean(axis=axis))


def _permutation(difference: Values) -> float:
    if not difference.any():
        return 1.0
    result = stats.permutation_test(
        (difference,),
        _mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=RESAMPLES,
        random_state=np.random.default_rng(0),
    )
    return float(result.pvalue)


def compare_rows(scores: Sequence[Score], first: str, second: str) -> dict[tuple[str, str], Comparison]:
    """Compare two rows of a report on every task that both have.

    Args:
        scores: the scores of the report.
        first: label of the first row.
        second: label of the second row.

    Returns:
        The comparisons by benchmark and length with its unit. If a benchmark has
        several lengths, ``all lengths`` is the comparison over all of their documents together.

    Raises:
        InputError: there is no such row, the rows have no task in common, no samples were logged, or the rows
            were evaluated on different documents.
    """
    known = row_labels(scores)
    for label in (first, second):
        if label not in known:
            raise InputError(
                f"there is no row {label!r}; the rows are {', '.join(map(repr, known))}"
                f"{did_you_mean(label, known)}"
            )
    if first == second:
        raise InputError(f"--compare takes two different rows, not {first!r} twice")
    one = {(s.benchmark, s.length): s for s in scores if s.label == first}
    other = {(s.benchmark, s.length): s for s in scores if s.label == second}
    common = [key for key in one if key in other]
    if not common:
        raise InputError(f"{first!r} and {second!r} were not evaluated on the same task")
    found: dict[tuple[str, str], Comparison] = {}
    for benchmark in dict.fromkeys(benchmark for benchmark, _ in common):
        pairs = []
        for key in (key for key in common if key[0] == benchmark):
            metric = _metric(one[key], other[key])
            pairs.append(_paired(one[key], other[key], metric))
            unit = f"{key[1]} {one[key].unit}"
            found[benchmark, unit] = compare(*pairs[-1], scale_of(metric))
        if len(pairs) > 1:
            whole, other_whole = (np.concatenate(side) for side in zip(*pairs, strict=True))
            found[benchmark, "all lengths"] = compare(whole, other_whole, scale_of(metric))
    return found


def _metric(one: Score, other: Score) -> str:
    metric = one.main_metric
    if metric is None or metric != other.main_metric:
        raise InputError(f"{one.label!r} and {other.label!r} have no main metric in common on {one.task}")
    return metric


def _paired(one: Score, other: Score, metric: str) -> tuple[Values, Values]:
    """Both models' values on the documents that both were evaluated on."""
    first, second = read_samples(one), read_samples(other)
    ids = [name for name in first if name in second and _same(first[name], second[name])]
    if not ids:
        raise InputError(
            f"{one.label!r} and {other.label!r} were evaluated on different documents of {one.task}, so "
            "they cannot be compared by a paired test"
        )
    if any(metric not in samples[name].values for samples in (first, second) for name in ids):
        raise InputError(f"the samples of {one.task} lack {metric} for some documents; run lm_eval again")
    return (
        np.array([first[name].values[metric] for name in ids]),
        np.array([second[name].values[metric] for name in ids]),
    )


def _same(one: Sample, other: Sample) -> bool:
    return one.document == other.document


def comparison_table(found: dict[tuple[str, str], Comparison], first: str, second: str) -> str:
    """The comparisons as a Markdown table, with an explanation of its columns."""
    first, second = in_markdown(first), in_markdown(second)
    headers = ["benchmark", "length", "documents", first, second, "difference", "p", "test"]
    rows = [
        [
            benchmark, in_markdown(length), c.documents, f"{c.first:.3f}", f"{c.second:.3f}",
            c.difference_text, p_text(c.p_value),
            f"{c.test} ({c.first_better} : {c.second_better})",
        ]
        for (benchmark, length), c in found.items()
    ]  # fmt: skip
    return (
        f"{markdown_table(headers, rows)}\n\nPaired on the documents that both models were evaluated on. "
        f"Brackets: {paired_note(found.values())}. In parentheses: documents on which {first} : {second} "
        "scores higher. The p-values are not corrected for the number of lengths."
    )


def p_text(p_value: float) -> str:
    """A p-value with three digits."""
    return "<0.001" if p_value < 0.001 else f"{p_value:.3f}"


def paired_note(found: Iterable[Comparison]) -> str:
    """The intervals in the brackets of differences, and why one may exclude 0 despite a large p-value."""
    shown = list(found)
    method = "Tango's score interval"
    if any(one.test != MCNEMAR for one in shown):
        method += (
            " for scores of 0 or 1, Wilson's at the effective number of documents for other fractions, "
            "Student's for other numbers"
        )
    text = f"95% intervals of the difference ({method})"
    if any(one.ends and one.ends[0] * one.ends[1] > 0 and one.p_value >= 1 - CONFIDENCE for one in shown):
        text += "; with few documents, the exact test is stricter than these intervals"
    return text
