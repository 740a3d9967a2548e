"""The loop of a training run: steps, and reports, evaluations and checkpoints between them."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm
from transformers import PreTrainedModel

from dataset_builders import InputError
from dataset_builders.interruption import Interrupted, StopSignals
from synthetic_training.config import MQAR, TrainConfig
from synthetic_training.data.training_data import TrainingData
from synthetic_training.evaluation.accuracy import Shard
from synthetic_training.models.sizes import window
from synthetic_training.seeding import seed_everything
from synthetic_training.training.checkpoint import (
    Checkpoints,
    Progress,
    load_optimizer,
    restore_weights,
    save_model,
)
from synthetic_training.training.optimizer import OptimizerConfig
from synthetic_training.training.processes import Processes
from synthetic_training.training.run_folder import METRICS, MODEL, RUN
from synthetic_training.training.run_log import MetricsLog, Record, remove_after
from synthetic_training.training.schedule import LearningRateSchedule
from synthetic_training.training.step import StepConfig, TrainingStep
from synthetic_training.training.tracker import Tracker


class NotFiniteError(InputError):
    """The loss or its gradient is not finite.

    Args:
        message: message that says what is kept and what may help.
        step: the step at which this was detected.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class TrainingRun:
    """A run in progress.

    Args:
        config: settings of the run.
        step: settings of how a step is computed.
        out: the run's folder, which contains ``run.json``.
        processes: the processes that share the run.
        data: the training data.
        model: the untrained model on its device.
        tracker: tracker that receives the metrics.
        resume: whether to load the newest checkpoint, if there is one.

    Raises:
        InputError: a checkpoint cannot be used.
    """

    def __init__(
        self,
        config: TrainConfig,
        step: StepConfig,
        out: Path,
        processes: Processes,
        data: TrainingData,
        model: PreTrainedModel,
        tracker: Tracker,
        *,
        resume: bool,
    ) -> None:
        self._config, self._out, self._processes, self._data = config, out, processes, data
        self._bf16, self._tracker = step.precision == "bf16", tracker
        self._checkpoints = Checkpoints(out)
        self._newest: Path | None = None
        self._progress = Progress()
        found = self._checkpoints.newest() if resume else None
        if found is not None:
            self._newest, self._progress = found
            restore_weights(model, self._newest)
        self._model = model.train()
        self._tokenizer = data.tokenizer(window(model))
        self._rows = config.batch_size // processes.count
        self._schedule = LearningRateSchedule(config.lr, config.schedule, config.warmup, config.steps)
        self._step = TrainingStep(
            self._model,
            data.batches(model.device, progress=processes.is_main),
            step,
            OptimizerConfig(config.weight_decay, config.grad_clip),
            rows=self._rows,
            processes=processes,
        )
        reduce = processes.sum if processes.count > 1 else None
        self._shard = Shard(processes.rank, processes.count, reduce)
        self._log: MetricsLog | None = None
        if self._newest is not None:
            self._step.load_state_dict(load_optimizer(self._newest))

    def finish(self) -> Path:
        """Do the remaining steps, write the model, and return its folder.

        Raises:
            InputError: the loss is not finite, or a file cannot be written.
            Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
        """
        config, main = self._config, self._processes.is_main
        with self._processes.agree():
            if main:
                remove_after(self._out / METRICS, self._progress.step)
                self._log = MetricsLog(self._out / METRICS)
        first = self._progress.step
        self._bar = tqdm(total=config.steps, initial=first, disable=not main, unit="step", smoothing=0.1)
        self._since = time.perf_counter()
        self._started = self._since - self._progress.seconds
        try:
            with StopSignals(insist=self._processes.count == 1) as signals:
                for step in range(first, config.steps):
                    # so that dropout depends only on the seed, the step and the process
                    seed_everything((config.seed * 2**20 + step) * 2**10 + self._processes.rank)
                    self._step.run(step, self._schedule(step))
                    if self._after(step + 1):
                        break
                    stop = self._processes.max(signals.received)
                    if stop and step + 1 < config.steps:
                        self._interrupt(step + 1, stop)
                # a signal after this point is ignored, because the run is about to end anyway
                with self._processes.agree():
                    if main:
                        save_model(self._out / MODEL, self._model, self._tokenizer, self._out / RUN)
        finally:
            self._step.release()
            self._bar.close()
            if self._log is not None:
                self._log.close()
        return self._out / MODEL

    def _after(self, done: int) -> bool:
        """Report, evaluate and save if due after this number of steps; return whether to stop early."""
        config, last = self._config, done == self._config.steps
        evaluate = last or done % config.eval_every == 0
        save = not last and done % config.save_every == 0
        if evaluate or save or done % config.log_every == 0:
            self._report(done)
        stop = evaluate and self._evaluate()
        if save and not stop:
            self._save()
        if evaluate or save:
            # the speed does not include evaluations
            self._since = time.perf_counter()
        return stop

    def _report(self, done: int) -> None:
        """Write the metrics since the last report; the loop waits for the device only here."""
        metrics = self._step.read()
        if not metrics.finite:
            raise self._not_finite(done)
        now = time.perf_counter()
        tokens_per_step = self._config.batch_size * self._config.context_length
        speed = (done - self._progress.step) * tokens_per_step / (now - self._since)
        examples = self._progress.examples + metrics.examples
        self._progress, self._since = Progress(done, examples, now - self._started), now
        self._write(
            {
                "kind": "train",
                "step": done,
                "examples": examples,
                "tokens": done * tokens_per_step,
                "loss": metrics.loss,
                "letter_accuracy": metrics.letter_accuracy,
                "grad_norm": metrics.grad_norm,
                "learning_rate": self._schedule(done - 1),
                "tokens_per_second": round(speed, 1),
                "seconds": round(self._progress.seconds, 3),
            }
        )
        accuracy = f"letters {metrics.letter_accuracy:.3f}"
        self._bar.set_postfix_str(
            f"loss {metrics.loss:.4f}, {accuracy}, {speed:,.0f} tokens/s", refresh=False
        )
        self._bar.update(done - self._bar.n)

    def _evaluate(self) -> bool:
        """Write one record per length; return whether accuracy at the last length is high enough to stop."""
        config, progress = self._config, self._progress
        self._processes.share(self._model.buffers())
        self._model.eval()
        scores = self._data.evaluate(
            self._model,
            batch_tokens=self._rows * config.context_length,
            bf16=self._bf16,
            shard=self._shard,
        )
        self._model.train()
        for score in scores:
            where = {"kind": "eval", "step": progress.step, "examples": progress.examples}
            self._write({**where, **asdict(score), "seconds": round(self._seconds(), 3)})
        if self._processes.is_main:
            shown = ", ".join(f"{one.string_accuracy:.3f} at {one.length}" for one in scores)
            name, unit = ("accuracy", " pairs") if config.task == MQAR else ("string accuracy", "")
            self._bar.write(f"step {progress.step}: {name} {shown}{unit}")
        return config.stop_accuracy is not None and scores[-1].string_accuracy >= config.stop_accuracy

    def _save(self) -> None:
        self._processes.share(self._model.buffers())
        with self._processes.agree():
            if self._processes.is_main:
                progress = replace(self._progress, seconds=self._seconds())
                state = self._step.state_dict()
                self._newest = self._checkpoints.save(self._model, self._tokenizer, state, progress)

    def _interrupt(self, done: int, number: int) -> NoReturn:
        """Save a checkpoint, unless this step was just saved, and end."""
        if done % self._config.save_every:
            if self._progress.step != done:
                self._report(done)
            self._save()
        raise Interrupted(
            f"interrupted after step {done}, which is saved; to continue, run\n"
            f"python -m synthetic_training train --resume --out {self._out}",
            number,
        )

    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _not_finite(self, done: int) -> NotFiniteError:
        kept = f"the last good checkpoint is {self._newest}" if self._newest else "no checkpoint was written"
        message = (
            f"the loss or its gradient was not finite at or before step {done}; {kept}; a smaller --lr, more "
            "--warmup-steps or --precision fp32 may help"
        )
        return NotFiniteError(message, done)

    def _write(self, record: Record) -> None:
        with self._processes.agree():
            if self._log is not None:
                self._log.write(record)
        prefix = f"eval_{record['length']}/" if record["kind"] == "eval" else "train/"
        values = {
            prefix + key: value for key, value in record.items() if key not in ("kind", "step", "length")
        }
        self._tracker.log(values, record["step"])
