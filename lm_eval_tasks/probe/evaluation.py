"""Evaluating recall during training: the same documents at every call, with forward passes only."""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from lm_eval_tasks.probe.documents import ProbeTask, probe_tasks
from lm_eval_tasks.probe.encoding import Candidate, EncodedDocument, encode_task, tokenizer_in
from lm_eval_tasks.probe.fit import check_model, fits, task_warnings, window_of
from lm_eval_tasks.probe.logits import Forward
from lm_eval_tasks.probe.processes import Replica, is_first_process
from lm_eval_tasks.probe.scores import DocumentScore, RecallScore
from lm_eval_tasks.probe.scoring import Row, batches, rows_of, score_batch
from lm_eval_tasks.probe.training_state import preserved_training_state
from lm_eval_tasks.scoring import NAN_WARNING

log = logging.getLogger(__name__)

DEFAULT_TASKS = ("phone_book_20", "phone_book_40", "string_copy_10", "string_copy_50")

NUM_DOCS = 100
"""Default number of documents per task."""

BATCH_TOKENS = 8192
"""Default number of tokens per forward pass, including padding."""


class RecallEvaluation:
    """Builds and tokenizes documents once, and scores them at every call.

    Args:
        tokenizer: a tokenizer of transformers, or a processor that contains one.
        tasks: names of lm-eval tasks with one question per document that have a forced twin, such as
            ``phone_book_20`` and ``string_copy_37``. ``c4_copy_100`` needs a ``source`` in ``metadata``, or
            the Hub.
        num_docs: number of documents per task, at least 2; they are the first documents of lm-eval's task.
        metadata: other arguments of the documents, such as ``{"seed": 1}``; see lm-eval's ``--metadata``.
        max_length: the model's context window in tokens (default: from its configuration).
        batch_tokens: maximum number of tokens per forward pass, including padding; a longer row gets its own
            forward pass.
        forward: function of the model and token ids of shape (rows, tokens) that returns logits of shape
            (rows, tokens, vocabulary), for a model that does not return them when it is called with token
            ids alone. The model is passed without wrappers of DistributedDataParallel and ``torch.compile``.

    Raises:
        InputError: there is no such task, a value is out of range, a source cannot be read, or the tokenizer
            cannot encode the documents.
    """

    def __init__(
        self,
        tokenizer: Any,
        tasks: Sequence[str] = DEFAULT_TASKS,
        *,
        num_docs: int = NUM_DOCS,
        metadata: Mapping[str, Any] | None = None,
        max_length: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
        forward: Forward | None = None,
    ) -> None:
        check_integer("batch_tokens", batch_tokens, 1)
        if max_length is not None:
            check_integer("max_length", max_length, 1)
        tokenizer = tokenizer_in(tokenizer)
        self._max_length = max_length
        self._warned_of_nan = False
        self._batch_tokens = batch_tokens
        self._forward = forward
        self._documents: list[tuple[ProbeTask, list[EncodedDocument]]] = [
            (task, encode_task(tokenizer, task)) for task in probe_tasks(tasks, num_docs, metadata or {})
        ]

    def fit(self, model: nn.Module) -> list[str]:
        """Leave out tasks that do not fit a model's context window.

        Returns:
            One warning for each group of documents that cannot be scored properly.

        Raises:
            InputError: no task is left, or the model cannot be evaluated with these documents.
        """
        replica = Replica.of(model)
        check_model(replica.model, [one for _, own in self._documents for one in own])
        window = window_of(replica.model) if self._max_length is None else self._max_length
        fitting = [(task, own) for task, own in self._documents if any(fits(d, window) for d in own)]
        kept = {task.name for task, _ in fitting}
        names = [task.name for task, _ in self._documents if task.name not in kept]
        if not fitting:
            raise InputError(
                f"no document of {', '.join(names)} fits the model's context window of {window} tokens; use "
                "shorter tasks, or pass max_length= if the window is larger"
            )
        self._documents = fitting
        warnings = []
        if names:
            warnings.append(
                f"{', '.join(names)}: left out, because no document fits the model's context window of "
                f"{window} tokens"
            )
        for task, own in fitting:
            warnings += task_warnings(task.name, own, window)
        return warnings

    def __call__(self, model: nn.Module) -> dict[str, RecallScore]:
        """Score a model, which may be wrapped and compiled; its mode and all random states are restored.

        Every process of a distributed run must call this. If each process has the whole model
        (DistributedDataParallel), each scores a share of the documents; all get the same result.

        Args:
            model: a causal model, which maps token ids of shape (rows, tokens) to logits of shape (rows,
                tokens, vocabulary) that predict each next token. It may also return an object or a
                dictionary with ``logits``, or a tuple of which they are the first item with three
                dimensions.

        Returns:
            The scores by task. A task is missing if the device had too little memory for one of its rows.

        Raises:
            InputError: the model does not return logits of all positions.
        """
        replica = Replica.of(model)
        window = window_of(replica.model) if self._max_length is None else self._max_length
        candidates, places = self._candidates(window)
        with preserved_training_state(replica.model, replica.device):
            values = self._score(replica, candidates)
        scores = {}
        for (task, own), starts in zip(self._documents, places, strict=True):
            documents = []
            for row, one, start in zip(task.rows, own, starts, strict=True):
                scored = None if start is None else values[start : start + len(one.candidates)]
                documents.append(_document_score(row["id"], one, scored))
            scored_documents = [document for document in documents if document is not None]
            if len(scored_documents) == len(documents):
                scores[task.name] = RecallScore(task.name, task.config, scored_documents)
        self._warn_of_nan(scores)
        return scores

    def _warn_of_nan(self, scores: Mapping[str, RecallScore]) -> None:
        """Warn once, in one process, that the model's log-probabilities are not numbers."""
        documents = (document for score in scores.values() for document in score.documents)
        if self._warned_of_nan or not any(math.isnan(one.logprob_per_token or 0.0) for one in documents):
            return
        self._warned_of_nan = True
        if is_first_process():
            log.warning("%s", NAN_WARNING)

    @property
    def tasks(self) -> list[str]:
        """The names of the tasks that are evaluated."""
        return [task.name for task, _ in self._documents]

    def _candidates(self, window: int | None) -> tuple[list[Candidate], list[list[int | None]]]:
        """The candidates to score, and for each task and document the index of its first one, or None."""
        candidates: list[Candidate] = []
        places: list[list[int | None]] = []
        for _, own in self._documents:
            places.append([])
            for document in own:
                is_read = fits(document, window)
                places[-1].append(len(candidates) if is_read else None)
                candidates += document.candidates if is_read else ()
        return candidates, places

    def _score(self, replica: Replica, candidates: Sequence[Candidate]) -> list[list[float]]:
        """For each candidate: whether it is correct, its mean log-probability, and whether it was scored."""
        values = torch.zeros(len(candidates), 3, dtype=torch.float32)
        own: list[Row] = replica.share(rows_of(candidates))
        for index, greedy, logprob in self._passes(replica, own):
            scored = len(candidates[index].tokens) - candidates[index].start
            values[index] = torch.tensor([greedy, logprob / scored, 1.0])
        found: list[list[float]] = replica.total(values.to(replica.device)).tolist()
        return found

    def _passes(self, replica: Replica, rows: Sequence[Row]) -> list[tuple[int, float, float]]:
        """The results of ``score_batch``, in smaller batches where memory runs out.

        Rows that do not fit into memory even alone have no result.
        """
        found: list[tuple[int, float, float]] = []
        left = list(batches(rows, self._batch_tokens))
        while left:
            batch = left.pop(0)
            try:
                found += score_batch(replica.model, batch, replica.device, self._forward)
                continue
            except torch.cuda.OutOfMemoryError:
                if replica.in_step:
                    raise  # the other processes would wait forever for this one in the next forward pass
            torch.cuda.empty_cache()
            if len(batch) > 1:
                half = len(batch) // 2
                left[:0] = [batch[:half], batch[half:]]
        return found


def probe_recall(
    model: nn.Module,
    tokenizer: Any,
    tasks: Sequence[str] = DEFAULT_TASKS,
    *,
    num_docs: int = NUM_DOCS,
    metadata: Mapping[str, Any] | None = None,
    max_length: int | None = None,
    batch_tokens: int = BATCH_TOKENS,
    forward: Forward | None = None,
) -> dict[str, RecallScore]:
    """Score a model on forced tasks, in any training loop, without changing the training.

    The scores are those of lm-eval's forced tasks on the same documents. Every process of a distributed run
    must call this, and gets the same result. To score a model repeatedly, create one
    :class:`RecallEvaluation`, which tokenizes the documents only once.

    Args:
        model: a causal model of transformers, or any module that maps token ids of shape (rows, tokens) to
            logits of shape (rows, tokens, vocabulary); see :meth:`RecallEvaluation.__call__`. It may be
            wrapped and compiled.
        tokenizer, tasks, num_docs, metadata, max_length, batch_tokens, forward: see
            :class:`RecallEvaluation`.

    Returns:
        The scores by task, e.g. ``scores["phone_book_20"].exact_match``; ``write_results`` writes them for
        ``python -m lm_eval_tasks report``. A task that does not fit the model's context window is left out,
        with a warning in the log.

    Raises:
        InputError: as for :class:`RecallEvaluation`, no task fits the model's context window, or the model
            does not return logits of all positions.
    """
    evaluation = RecallEvaluation(
        tokenizer,
        tasks,
        num_docs=num_docs,
        metadata=metadata,
        max_length=max_length,
        batch_tokens=batch_tokens,
        forward=forward,
    )
    for warning in evaluation.fit(model):
        if is_first_process():
            log.warning("%s", warning)
    return evaluation(model)


def _document_score(
    name: str, document: EncodedDocument, scored: Sequence[Sequence[float]] | None
) -> DocumentScore | None:
    """The score of a document's best candidate; None if there was not enough memory for it.

    Args:
        scored: for each candidate, the values of ``RecallEvaluation._score``; None if it does not fit the
            model's context window.
    """
    shares = {"unknown_tokens": float(document.unknown), "misaligned": float(not document.aligned)}
    if scored is None:
        return DocumentScore(name, 0.0, None, truncated=1.0, **shares)
    if not all(done for _, _, done in scored):
        return None
    right = max(greedy for greedy, _, _ in scored)
    return DocumentScore(name, right, max(logprob for _, logprob, _ in scored), truncated=0.0, **shares)
