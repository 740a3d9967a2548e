"""The scores of a probe: one task at one step of a training run."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any


@dataclass(frozen=True)
class DocumentScore:
    """The scores of one document, as in lm-eval's forced task.

    Attributes:
        id: id of the document.
        exact_match: 1.0 if every token of the answer is the model's most likely one, else 0.0.
        logprob_per_token: mean natural logarithm of the probability of the answer's tokens; None if the
            document does not fit the model's context window.
        truncated: 1.0 if it does not fit the model's context window, else 0.0.
        unknown_tokens: 1.0 if the document contains characters that the tokenizer does not know, else 0.0.
        misaligned: 1.0 if the scored tokens are not exactly those of the answer, else 0.0.
    """

    id: str
    exact_match: float
    logprob_per_token: float | None
    truncated: float
    unknown_tokens: float
    misaligned: float


METRICS = ("exact_match", "logprob_per_token", "truncated", "unknown_tokens", "misaligned")
"""The scores of a document that are averaged, in lm-eval's order."""


@dataclass(frozen=True)
class RecallScore:
    """The scores of a model on one task.

    Attributes:
        task: name of the task without ``_forced``, e.g. ``phone_book_20``.
        config: the forced task's configuration, with the documents' arguments and checksum.
        documents: the scores of each document, in order.
    """

    task: str
    config: Mapping[str, Any]
    documents: Sequence[DocumentScore]

    def __repr__(self) -> str:
        """The means and the number of documents, without the scores of each document."""
        means = [f"{name}={_rounded(self.mean(name))}" for name in METRICS[:2]]
        means += [f"{name}={_rounded(mean)}" for name in METRICS[2:] if (mean := self.mean(name))]
        return f"RecallScore(task={self.task!r}, {', '.join(means)}, {len(self.documents)} documents)"

    @property
    def exact_match(self) -> float:
        """Fraction of documents with the correct answer."""
        return fmean(document.exact_match for document in self.documents)

    @property
    def logprob_per_token(self) -> float | None:
        """Mean over documents, in nats; None if it is not finite or no document fits."""
        return self.mean("logprob_per_token")

    def mean(self, metric: str) -> float | None:
        """The mean of one of ``METRICS`` over documents; None if no document has a finite value."""
        values = self._values(metric)
        return fmean(values) if values else None

    def stderr(self, metric: str) -> float | None:
        """The standard error of the mean; None for fewer than two documents."""
        values = self._values(metric)
        return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None

    def _values(self, metric: str) -> list[float]:
        values = [getattr(document, metric) for document in self.documents]
        kept = [value for value in values if value is not None]
        return kept if all(map(math.isfinite, kept)) else []


def _rounded(mean: float | None) -> str:
    return "None" if mean is None else f"{mean:.4g}"
