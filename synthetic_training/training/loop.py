"""The loop of a training run: steps, and what is due between them."""

import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from dataset_builders import InputError
from synthetic_training.config import TrainConfig
from synthetic_training.data.training_data import Material
from synthetic_training.evaluation.accuracy import Share
from synthetic_training.training.checkpoint import Checkpoints, Progress, load_optimizer, save_model, window
from synthetic_training.training.run_log import METRICS, RUN, MetricsLog, forget_after
from synthetic_training.training.step import TrainingStep

MODEL = "model"
"""Folder of a finished run's model."""


class TrainingRun:
    """A run under way.

    Args:
        config: the settings, with the device and precision resolved.
        out: the run's folder, which holds ``run.json``.
        accelerator: this process and the others.
        material: what is trained on.
        model: untrained.
        resume: whether to take up the weights and all else from the newest checkpoint, if there is one.
    """

    def __init__(
        self,
        config: TrainConfig,
        out: Path,
        accelerator: Accelerator,
        material: Material,
        model: PreTrainedModel,
        *,
        resume: bool,
    ) -> None:
        self._config, self._out, self._accelerator, self._material = config, out, accelerator, material
        self._device = torch.device("cpu") if config.device == "cpu" else accelerator.device
        self._checkpoints = Checkpoints(out)
        self._newest: Path | None = None
        self._progress = Progress()
        found = self._checkpoints.newest() if resume else None
        if found is not None:
            self._newest, self._progress = found
            saved = type(model).from_pretrained(self._newest, dtype=torch.float32)
            model.load_state_dict(saved.state_dict())
        self._model = model.to(self._device).train()
        self._tokenizer = material.tokenizer(window(model))
        processes = accelerator.num_processes
        self._rows = config.batch_size // processes
        reduce = _sum_over_processes if processes > 1 else None
        self._step = TrainingStep(
            self._model,
            material.batches(self._device, progress=accelerator.is_main_process),
            config.optimizer,
            precision=config.precision,
            compile=config.compile,
            accumulate=config.accumulate,
            isolate=config.isolate_examples,
            first_row=accelerator.process_index * self._rows,
            rows=self._rows,
            reduce=reduce,
        )
        self._share = Share(accelerator.process_index, processes, reduce)
        self._log: MetricsLog | None = None
        if self._newest is not None:
            self._step.load_state_dict(load_optimizer(self._newest))

    def finish(self) -> Path:
        """Do the steps that are left, and write the model."""
        config, main = self._config, self._accelerator.is_main_process
        if main:
            forget_after(self._out / METRICS, self._progress.step)
        self._log = MetricsLog(self._out / METRICS) if main else None
        first = self._progress.step
        self._bar = tqdm(total=config.steps, initial=first, disable=not main, unit="step", smoothing=0.1)
        self._since = time.perf_counter()
        self._started = self._since - self._progress.seconds
        try:
            for step in range(first, config.steps):
                # dropout, where a model has any, depends on the step and the process alone
                torch.manual_seed((config.seed * 2**20 + step) * 2**10 + self._accelerator.process_index)
                self._step.run(step, config.learning_rate(step))
                if self._after(step + 1):
                    break
        finally:
            self._bar.close()
            if self._log is not None:
                self._log.close()
        self._accelerator.end_training()
        if main:
            save_model(self._out / MODEL, self._model, self._tokenizer, self._out / RUN)
        self._accelerator.wait_for_everyone()
        return self._out / MODEL

    def _after(self, done: int) -> bool:
        """Do what is due after so many steps; whether the run ends here."""
        config, last = self._config, done == self._config.steps
        evaluate = last or done % config.eval_every == 0
        save = not last and done % config.save_every == 0
        if evaluate or save or done % config.log_every == 0:
            self._report(done)
        stop = evaluate and self._evaluate()
        if save and not stop:
            self._save()
        if evaluate or save:
            # speed is that of training alone
            self._since = time.perf_counter()
        return stop

    def _report(self, done: int) -> None:
        """Write what happened since the last report; the only wait for the device."""
        metrics = self._step.read()
        if not metrics.finite:
            raise self._not_finite(done)
        now = time.perf_counter()
        tokens_per_step = self._config.batch_size * self._config.context
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
                "learning_rate": self._config.learning_rate(done - 1),
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
        """Write a line for each length; whether the last one is good enough to end the run."""
        config, progress = self._config, self._progress
        scores = self._material.evaluate(
            self._model,
            batch_tokens=self._rows * config.context,
            bf16=config.precision == "bf16",
            share=self._share,
        )
        for score in scores:
            where = {"kind": "eval", "step": progress.step, "examples": progress.examples}
            self._write({**where, **asdict(score), "seconds": round(self._seconds(), 3)})
        if self._accelerator.is_main_process:
            shown = ", ".join(f"{one.string_accuracy:.3f} at {one.length}" for one in scores)
            self._bar.write(f"step {progress.step}: string accuracy {shown}")
        return config.stop_at is not None and scores[-1].string_accuracy >= config.stop_at

    def _save(self) -> None:
        if self._accelerator.is_main_process:
            progress = replace(self._progress, seconds=self._seconds())
            state = self._step.state_dict()
            self._newest = self._checkpoints.save(self._model, self._tokenizer, state, progress)
        self._accelerator.wait_for_everyone()

    def _seconds(self) -> float:
        return time.perf_counter() - self._started

    def _not_finite(self, done: int) -> InputError:
        kept = f"the last good checkpoint is {self._newest}" if self._newest else "no checkpoint was written"
        return InputError(
            f"the loss or its gradient was not finite by step {done}; {kept}; a smaller lr, a longer warmup "
            "or precision fp32 may help"
        )

    def _write(self, line: dict[str, Any]) -> None:
        if self._log is not None:
            self._log.write(line)
        if self._config.tracker != "none":
            prefix = f"eval_{line['length']}/" if line["kind"] == "eval" else "train/"
            values = {prefix + key: v for key, v in line.items() if key not in ("kind", "step", "length")}
            self._accelerator.log(values, step=line["step"])


def _sum_over_processes(tensor: Tensor) -> None:
    torch.distributed.all_reduce(tensor)
