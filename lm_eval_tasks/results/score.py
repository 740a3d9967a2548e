"""Runs of lm-eval and their scores, the data behind every report of this package."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from lm_eval_tasks.results.timing_record import Timing

MAIN_METRICS = ("exact_match", "f1", "recall")
"""A benchmark's main metric is the first of these that it has, or otherwise the first that it declares."""

SHARES = ("truncated", "unknown_tokens", "unanswered", "misaligned")
"""Metrics that count documents with problems; they are shown last and without an interval."""

_NO_ACCURACY = frozenset({*SHARES, "logprob_per_token"})


@dataclass(frozen=True)
class Run:
    """A run of lm-eval: how it loaded and prompted a model. Values that the result file lacks are None.

    Attributes:
        date: start of the run, in seconds since 1970.
        model: the model as the user named it: a name on the Hub, a path, or otherwise the backend's name.
        backend: lm-eval's ``--model``, e.g. ``hf``.
        model_arguments: ``--model_args``.
        dtype: dtype of the loaded model, e.g. ``float32``.
        revision: revision of the model on the Hub, as passed.
        commit: commit of the model on the Hub.
        adapter_commit: commit of the adapter on the Hub; None if there is no adapter.
        parameters: number of the model's parameters.
        batch_size: ``--batch_size`` as passed.
        gen_kwargs: ``--gen_kwargs``; empty if it was not passed.
        limit: ``--limit``, a number of documents or a fraction below 1.
        seeds: lm-eval's seeds, by name.
        chat_template: short checksum of the chat template; None if there was none.
        system_instruction: short checksum of the system instruction; None if there was none.
        multiturn: whether few-shot examples were given as turns of a chat.
        versions: versions by package.
    """

    date: float
    model: str
    backend: str | None
    model_arguments: Mapping[str, Any]
    dtype: str | None
    revision: str | None
    commit: str | None
    adapter_commit: str | None
    parameters: int | None
    batch_size: int | str | None
    gen_kwargs: Mapping[str, Any]
    limit: float | None
    seeds: Mapping[str, int]
    chat_template: str | None
    system_instruction: str | None
    multiturn: bool
    versions: Mapping[str, str]

    @property
    def prompt_wrapping(self) -> tuple[str, ...]:
        """The additions around the prompts, such as a chat template, in words."""
        around = {"chat template": self.chat_template, "system instruction": self.system_instruction}
        return tuple(name for name, used in around.items() if used is not None)


@dataclass(frozen=True)
class Checkpoint:
    """The training run and the step of a row that is a checkpoint.

    Attributes:
        training_run: everything that identifies the row except the step; equal for all checkpoints of a run.
        step: number of training steps, from the checkpoint's name.
    """

    training_run: Hashable
    step: int


@dataclass(frozen=True)
class Score:
    """One run's scores on one task.

    Attributes:
        file: the result file.
        task: the task's name in lm-eval, e.g. ``phone_book_20``.
        benchmark: the benchmark, whose tasks differ only in length, e.g. ``phone_book``.
        length: the length, in ``unit``.
        unit: unit of the length, e.g. ``entries``.
        values: (mean, standard error) by metric, each None if the file has no such number.
        documents: number of scored documents.
        document_set: checksum of the task's documents.
        task_documents: number of documents of the task; None if unknown.
        metadata: the file's metadata about the task and its documents.
        directions: whether higher is better, by metric.
        generation: the task's ``generation_kwargs``; empty if nothing was generated.
        shots: number of few-shot examples.
        prompt: the task's fields that define the prompt, e.g. ``doc_to_text``.
        run: the run that produced the score.
        label: name of its row in reports; scores with the same label are from the same model with the same
            prompts.
        checkpoint: training run and step, if the row's name contains a training step; otherwise None.
    """

    file: Path
    task: str
    benchmark: str
    length: int
    unit: str
    values: Mapping[str, tuple[float | None, float | None]]
    documents: int
    document_set: str
    task_documents: int | None
    metadata: Mapping[str, Any]
    directions: Mapping[str, bool]
    generation: Mapping[str, Any]
    shots: int
    prompt: Mapping[str, Any]
    run: Run
    label: str = ""
    checkpoint: Checkpoint | None = None

    @property
    def main_metric(self) -> str | None:
        """The metric that represents the score if only one is shown; None if it is missing."""
        own = [metric for metric in self.values if metric not in _NO_ACCURACY]
        return next((metric for metric in (*MAIN_METRICS, *own) if metric in self.values), None)

    @property
    def main_value(self) -> float | None:
        """The main metric's mean; None if the file has no such number."""
        return None if self.main_metric is None else self.values[self.main_metric][0]

    @property
    def truncated(self) -> float:
        """Fraction of documents that did not fit the model's context window; 0 if unknown."""
        return self.values.get("truncated", (0.0, None))[0] or 0.0

    @property
    def state_bytes(self) -> int | None:
        """Bytes of state that the model keeps of a document before the query; None if unknown."""
        found = self.metadata.get("state_bytes")
        return found if isinstance(found, int) else None

    @property
    def no_state(self) -> str | None:
        """The reason why no state was measured, e.g. "the model returns no cache"; None if unknown."""
        found = self.metadata.get("no_state")
        return found if isinstance(found, str) and self.state_bytes is None else None

    @property
    def timings(self) -> list[Timing]:
        """The model's speed for each timed batch size; empty if unknown."""
        return [Timing.model_validate(one) for one in self.metadata.get("timing") or ()]

    @property
    def limited(self) -> bool:
        """Whether only a part of the task's documents was evaluated."""
        return self.task_documents is not None and self.documents != self.task_documents


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of a result file is a finite number that a float can represent."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**1000


def is_proportion(metric: str) -> bool:
    """Whether a metric's values lie between 0 and 1, unlike log-probabilities and their differences."""
    return not metric.startswith(("logprob", "nats"))
