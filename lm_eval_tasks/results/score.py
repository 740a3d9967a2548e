"""A run of lm-eval and its scores, as every report of this package uses them."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from lm_eval_tasks.results.timing_record import Timing

MAIN_METRICS = ("exact_match", "f1", "recall")
"""A benchmark's main metric is the first of these that it has, or else the first of its own."""

SHARES = ("truncated", "unknown_tokens", "unanswered", "misaligned")
"""Metrics that count what went wrong with documents; they are shown last and without an interval."""

_NO_ACCURACY = frozenset({*SHARES, "logprob_per_token"})


@dataclass(frozen=True)
class Run:
    """How lm-eval loaded and prompted a model, as far as its result file says.

    Attributes:
        date: when the run began, in seconds since 1970.
        model: the model as it was given: a name on the Hub, a path, or else the backend's name.
        backend: lm-eval's ``--model``, e.g. ``hf``; None where it is unknown.
        model_arguments: ``--model_args``.
        dtype: as the model was loaded, e.g. ``float32``; None where it is unknown.
        revision, commit: of the model on the Hub; None where unknown.
        adapter_commit: of the adapter on the Hub; None where there is none, or it is unknown.
        parameters: number of the model's parameters; None where unknown.
        batch_size: as given.
        gen_kwargs: ``--gen_kwargs``; empty where nothing was given.
        limit: ``--limit``, a number of documents or a share below 1.
        seeds: lm-eval's seeds, by name.
        chat_template, system_instruction: short checksums; None where there was none.
        multiturn: whether few-shot examples were given as turns of a chat.
        versions: package -> its version.
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
        """What stood around the prompts, in words."""
        around = {"chat template": self.chat_template, "system instruction": self.system_instruction}
        return tuple(name for name, used in around.items() if used is not None)


@dataclass(frozen=True)
class Checkpoint:
    """Which training run a row is a checkpoint of, and after how many steps.

    Attributes:
        training_run: all that identifies the row but for the step; equal for the checkpoints of a run.
        step: training steps, as the checkpoint's name says.
    """

    training_run: Hashable
    step: int


@dataclass(frozen=True)
class Score:
    """One run's scores on one task.

    Attributes:
        file: the result file.
        task: the task's name in lm-eval, e.g. ``phone_book_20``.
        benchmark: whose tasks differ in their length alone, e.g. ``phone_book``.
        length: the length, in units of ``unit``.
        values: metric -> (mean, standard error), each None where the file has no such number.
        documents: number of documents scored.
        document_set: checksum of the task's documents.
        asked_for: number of documents that the task has; None where the file does not say it.
        metadata: what the file says of the task and its documents.
        directions: metric -> whether higher is better.
        generation: the task's ``generation_kwargs``, empty where nothing was generated.
        shots: number of few-shot examples.
        prompt: the task's fields that make the prompt, e.g. ``doc_to_text``.
        run: the run that it is from.
        label: the name of its row in reports; scores with the same label are of the same model,
            prompted alike.
        checkpoint: where the row's name holds a training step; else None.
    """

    file: Path
    task: str
    benchmark: str
    length: int
    unit: str
    values: Mapping[str, tuple[float | None, float | None]]
    documents: int
    document_set: str
    asked_for: int | None
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
        """The metric that stands for the score where there is room for one; None where it is missing."""
        own = [metric for metric in self.values if metric not in _NO_ACCURACY]
        return next((metric for metric in (*MAIN_METRICS, *own) if metric in self.values), None)

    @property
    def main_value(self) -> float | None:
        """The main metric's mean; None where the file has no such number."""
        return None if self.main_metric is None else self.values[self.main_metric][0]

    @property
    def truncated(self) -> float:
        """Share of the documents that did not fit the model's window; 0 where it is unknown."""
        return self.values.get("truncated", (0.0, None))[0] or 0.0

    @property
    def state_bytes(self) -> int | None:
        """Bytes of state that the model holds of a document before the query; None where it is unknown."""
        found = self.metadata.get("state_bytes")
        return found if isinstance(found, int) else None

    @property
    def timings(self) -> list[Timing]:
        """The model's speed for each timed batch size; empty if unknown."""
        return [Timing.model_validate(one) for one in self.metadata.get("timing") or ()]

    @property
    def limited(self) -> bool:
        """Whether it is of a part of the task's documents."""
        return self.asked_for is not None and self.documents != self.asked_for


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of a result file is a finite number that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**1000


def is_proportion(metric: str) -> bool:
    """Whether a metric's values lie between 0 and 1, unlike log-probabilities and their differences."""
    return not metric.startswith(("logprob", "nats"))
