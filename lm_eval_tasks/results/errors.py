"""Counts models' wrong answers by class, at each length."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name

from dataset_builders import InputError
from dataset_builders.markdown import markdown_table
from lm_eval_tasks.error_classes import ErrorClasses
from lm_eval_tasks.reasoning import without_reasoning
from lm_eval_tasks.results.known_tasks import benchmark_of
from lm_eval_tasks.results.samples import Sample
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.text import in_markdown
from lm_eval_tasks.twins import twin_of

TRUNCATED = "did not fit the window"

_METRIC = "exact_match"


@dataclass(frozen=True)
class Errors:
    """The answers of one row at one length.

    Attributes:
        label: label of the row.
        length: length of the documents.
        documents: number of documents.
        classes: number of wrong answers by class, possibly 0, in the order in which they are shown;
            ``TRUNCATED``, for documents that were not run, is the first.
        references: expected fraction of these documents by way to answer without memory, then by class.
    """

    label: str
    length: int
    documents: int
    classes: Mapping[str, int]
    references: Mapping[str, Mapping[str, float]]

    @property
    def right(self) -> int:
        return self.documents - sum(self.classes.values())


def error_classes(score: Score) -> ErrorClasses | None:
    """The classes of wrong answers of a score's benchmark; None for twins, or if there are no classes.

    Raises:
        InputError: the benchmark's ``errors`` name another kind of object.
    """
    name = benchmark_of(score.task).evaluation.errors
    if name is None or twin_of(score.benchmark):
        return None
    found = resolve_name(name)
    if not isinstance(found, ErrorClasses):
        raise InputError(f"{name}, the 'errors' of {score.benchmark}, is not an ErrorClasses object")
    return found


def count_errors(logged: Iterable[tuple[Score, Sequence[Sample]]]) -> list[Errors]:
    """The wrong answers of every score whose benchmark classifies them.

    Args:
        logged: scores of one benchmark with their samples, see :func:`lm_eval_tasks.results.samples.logged`.

    Raises:
        InputError: a sample has no score, or its document is not from the benchmark.
    """
    found = []
    for score, samples in logged:
        classes = error_classes(score)
        if classes is not None and samples:
            found.append(_errors(score, samples, classes))
    return found


def _errors(score: Score, samples: Sequence[Sample], classes: ErrorClasses) -> Errors:
    if any(_METRIC not in sample.values for sample in samples):
        raise InputError(f"the samples of {score.task} lack {_METRIC}; run lm_eval again")
    wrong = [sample for sample in samples if sample.values[_METRIC] != 1.0]
    counts = Counter(
        TRUNCATED if sample.truncated else classes.classify(sample.row, without_reasoning(sample.text) or "")
        for sample in wrong
    )
    references = {
        name: _mean_probabilities([probabilities(sample.row) for sample in samples])
        for name, probabilities in classes.references.items()
    }
    ordered = {name: counts[name] for name in (TRUNCATED, *classes.names)}
    return Errors(score.label, score.length, len(samples), ordered, references)


def _mean_probabilities(of_documents: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in of_documents for name in one)
    return {name: sum(one.get(name, 0.0) for one in of_documents) / len(of_documents) for name in names}


def error_table(errors: Sequence[Errors], unit: str) -> str:
    """The classes that occur, as a Markdown table with rows of models and classes, and columns of lengths."""
    lengths = sorted({one.length for one in errors})
    references = list(dict.fromkeys(name for one in errors for name in one.references))
    rows = []
    for label in dict.fromkeys(one.label for one in errors):
        own = {one.length: one for one in errors if one.label == label}
        present = [own[length] for length in lengths if length in own]
        for name in occurring(present):
            cells = [own[length].classes[name] if length in own else "" for length in lengths]
            shares = [_mean_share(present, reference, name) for reference in references]
            rows.append([in_markdown(label), name, *cells, *shares])
        counts = [own[length].documents if length in own else "" for length in lengths]
        rows.append([in_markdown(label), "documents", *counts, *[""] * len(references)])
    headers = ["model", "wrong answer", *(f"{length} {in_markdown(unit)}" for length in lengths), *references]
    return (
        f"{markdown_table(headers, rows)}\n\nNumbers of wrong answers by class (rules: "
        "lm_eval_tasks/CAPACITY.md in the repository). Last columns: the expected fraction of all documents "
        f"if each answer were a {' or a '.join(references)}."
    )


def occurring(errors: Sequence[Errors]) -> list[str]:
    """The classes of one benchmark that occur at all, in order."""
    return [name for name in errors[0].classes if any(one.classes[name] for one in errors)]


def _mean_share(errors: Sequence[Errors], reference: str, name: str) -> str:
    shares = [one.references.get(reference, {}).get(name, 0.0) for one in errors]
    mean = sum(shares) / len(shares)
    return f"{mean:.2g}" if mean else ""
