"""``RecallProbe``: recall during a training run of transformers' Trainer."""

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from transformers import Trainer, TrainerCallback

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from lm_eval_tasks.probe.documents import check_names
from lm_eval_tasks.probe.evaluation import BATCH_TOKENS, DEFAULT_TASKS, NUM_DOCS, RecallEvaluation
from lm_eval_tasks.probe.logits import Forward
from lm_eval_tasks.probe.processes import Replica, is_first_process, process_count
from lm_eval_tasks.probe.results import STARTED, write_results, written_run, written_steps
from lm_eval_tasks.probe.scores import RecallScore

log = logging.getLogger(__name__)

PREFIX = "eval_recall/"
"""Prefix of the names of all logged metrics; most loggers show ``eval_recall/`` as ``eval/recall/``."""

_PRECISIONS = {"no": None, "bf16": "bfloat16", "fp16": "float16"}
"""Dtypes by accelerate's names of mixed precision."""


class RecallProbe(TrainerCallback):
    """Evaluates forced tasks before training, every N steps and after the last step.

    ::

        trainer = Trainer(model, arguments, train_dataset=texts, processing_class=tokenizer)
        trainer.add_callback(RecallProbe(trainer, ["phone_book_20", "string_copy_50"], every=500))
        trainer.train()

    Along with its loss, the trainer logs ``eval_recall/TASK`` (fraction of correct answers),
    ``eval_recall/TASK_logprob`` (mean log-probability per token of the answers, in nats) and
    ``eval_recall/seconds``.
    ``python -m lm_eval_tasks report OUT --out PLOTS`` draws accuracy by training step.

    A probe does not change the training: it leaves gradients as they are, and restores modes and random
    states. Invalid input ends the run before its first step. Later, results that cannot be written only cause
    a warning, and so does a task for which the device has too little memory.

    Args:
        trainer: a Trainer of transformers or of a library that extends it, such as TRL.
        tasks: names of lm-eval tasks that have a forced twin and one question per document; see
            :class:`~lm_eval_tasks.probe.evaluation.RecallEvaluation`.
        every: number of training steps between two probes, at least 1.
        num_docs: number of documents per task, at least 2.
        metadata: other arguments of the documents, as in lm-eval's ``--metadata``.
        tokenizer: a tokenizer or processor of transformers (default: the trainer's ``processing_class``).
        max_length: the model's context window in tokens (default: from its configuration).
        batch_tokens: maximum number of tokens per forward pass, including padding.
        forward: function of the model and token ids that returns logits, for unusual models; see
            :class:`~lm_eval_tasks.probe.evaluation.RecallEvaluation`.
        out: folder for the results (default: ``recall_probe`` in the trainer's ``output_dir``). A second
            training run with the same folder gets the subfolder ``run-2``.

    Raises:
        InputError: there is no such task, or ``every`` is out of range; everything else is checked when
            training begins.
    """

    def __init__(
        self,
        trainer: Any,
        tasks: Sequence[str] = DEFAULT_TASKS,
        *,
        every: int = 500,
        num_docs: int = NUM_DOCS,
        metadata: Mapping[str, Any] | None = None,
        tokenizer: Any = None,
        max_length: int | None = None,
        batch_tokens: int = BATCH_TOKENS,
        forward: Forward | None = None,
        out: Path | str | None = None,
    ) -> None:
        check_integer("every", every, 1)
        check_names(tasks)
        self._trainer = trainer
        self._tasks = tasks
        self._every = every
        self._options: dict[str, Any] = {
            "num_docs": num_docs,
            "metadata": metadata,
            "max_length": max_length,
            "batch_tokens": batch_tokens,
            "forward": forward,
        }
        self._tokenizer = tokenizer
        self._out = out
        self._evaluation: RecallEvaluation | None = None
        self._folder = Path()
        self._name = ""
        self._started: str | None = None
        self._warned: set[str] = set()
        self._last_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Build the documents, check that the model can read them, and score it before its first step.

        Raises:
            InputError: the documents cannot be built or read, or the results cannot be written.
        """
        self._warned = set()
        self._last_step = state.global_step
        tokenizer = self._tokenizer
        if tokenizer is None:
            tokenizer = getattr(self._trainer, "processing_class", None)
        if tokenizer is None:
            raise InputError(
                "the trainer has no tokenizer; pass processing_class= to it, or tokenizer= to RecallProbe"
            )
        self._evaluation = RecallEvaluation(tokenizer, self._tasks, **self._options)
        for warning in self._evaluation.fit(self._model):
            self._warn(state, warning)
        if process_count() > args.world_size and not Replica.of(self._model).shares:
            self._warn(
                state,
                f"{process_count()} processes train a model each, because transformers' Trainer is not "
                "distributed; only the first one writes results. To train one model on CPUs, pass "
                "use_cpu=True to TrainingArguments",
            )
        base = Path(args.output_dir) / "recall_probe" if self._out is None else Path(self._out)
        if _is_first(state):
            self._folder, number = _run_folder(base, fresh=state.global_step == 0)
            name = str(args.output_dir) if number == 1 else f"{args.output_dir}/run-{number}"
            self._name, self._started = written_run(self._folder) or (name, datetime.now(UTC).isoformat())
        if state.global_step == 0:
            scores = self._probe(state, control)
            self._write(state, scores)

    def on_step_end(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Score the model if a probe is due; if the results cannot be written, a warning is logged."""
        if state.global_step % self._every == 0 or state.global_step == state.max_steps:
            self._probe_during_training(state, control)

    def on_evaluate(self, _args: Any, state: Any, control: Any, **_: Any) -> None:
        """Score the model if this is the last step, because another callback stops the training."""
        if control.should_training_stop:
            self._probe_during_training(state, control)

    # a callback may also stop the training in these events
    on_epoch_end = on_save = on_evaluate

    def _probe_during_training(self, state: Any, control: Any) -> None:
        # there is no evaluation if the callback was added during training
        if self._evaluation is None or state.global_step == self._last_step:
            return
        self._last_step = state.global_step
        scores = self._probe(state, control)
        try:
            self._write(state, scores)
        except InputError as error:
            self._warn(state, f"the results of a probe were not written: {error}")

    @property
    def _model(self) -> Any:
        return self._trainer.model_wrapped

    def _probe(self, state: Any, control: Any) -> dict[str, RecallScore]:
        assert self._evaluation is not None  # noqa: S101  training has begun
        begin = time.monotonic()
        scores = self._evaluation(self._model)
        missing = [task for task in self._evaluation.tasks if task not in scores]
        if missing:
            self._warn(state, f"{', '.join(missing)}: not evaluated, because the device ran out of memory")
        logs = {f"{PREFIX}{task}": score.exact_match for task, score in scores.items()}
        logs |= {
            f"{PREFIX}{task}_logprob": value
            for task, score in scores.items()
            if (value := score.logprob_per_token) is not None
        }
        should_log = control.should_log
        logs[f"{PREFIX}seconds"] = round(time.monotonic() - begin, 3)
        # not self._trainer.log: TRL's adds the averages that belong to the next entry of the loss
        Trainer.log(self._trainer, logs)
        control.should_log = should_log  # log() resets it, and the trainer would not log its loss
        return scores

    def _write(self, state: Any, scores: Mapping[str, RecallScore]) -> None:
        if not _is_first(state) or not scores:
            return
        name = self._trainer.accelerator.mixed_precision
        mixed = _PRECISIONS.get(name, name)
        parameters = Replica.of(self._model).model.parameters()
        settings = {"mixed_precision_dtype": mixed, STARTED: self._started}
        dtype = next(one.dtype for one in parameters if one.is_floating_point())  # others are quantized
        write_results(
            scores,
            self._folder,
            model=self._name,
            step=state.global_step,
            dtype=str(dtype).removeprefix("torch."),
            settings={name: value for name, value in settings.items() if value is not None},
        )

    def _warn(self, state: Any, sentence: str) -> None:
        """Warn once, in one process."""
        if _is_first(state) and sentence not in self._warned:
            log.warning("%s", sentence)
        self._warned.add(sentence)


def _is_first(state: Any) -> bool:
    # if the Trainer is not distributed, each of several processes is its "world process zero"
    return state.is_world_process_zero and is_first_process()


def _run_folder(base: Path, *, fresh: bool) -> tuple[Path, int]:
    """The folder of a training run's results, and the number of the run.

    Args:
        base: folder of the first training run; later ones use its subfolders ``run-2`` and so on.
        fresh: whether the training run starts from step 0; a resumed one continues in the newest folder.
    """
    number = 1
    while written_steps(_numbered(base, number)):
        number += 1
    if not fresh and number > 1:
        number -= 1
    return _numbered(base, number), number


def _numbered(base: Path, number: int) -> Path:
    return base if number == 1 else base / f"run-{number}"
