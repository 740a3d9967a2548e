"""Compares this trainer with Zoology's (arXiv 2312.04927) on MQAR, in one run on one device.

    python -m synthetic_training.speed.mqar path/to/zoology --out mqar.json

The docstring of ``zoology_trainer`` names the required checkout. Models are from Zoology's
``iclr24_zoology_figure2``: Mamba, and attention without MLPs, with one head and learned positions. The model
``attention_mlp`` is ``T_rope`` with one head and MLPs, which only this trainer trains. Both trainers use the
same distributions of examples and of initial weights, number of examples, rows per step, and learning rates.
As in Zoology, gradients are not clipped, there is no warm-up, and the learning rate follows a cosine to 0;
this trainer changes it in each step, Zoology's after each epoch. This trainer computes in bfloat16 on a GPU
unless ``--precision`` is passed, Zoology's in float32. Both stop at an accuracy of 0.99.

This trainer tries every learning rate. Zoology's trainer tries them in the order of this trainer's results,
the best first, until one of them reaches that accuracy. For each trainer, the table shows the best learning
rate: its accuracy on examples that were not used for training, the number of examples after which it was
reached, and the examples per second of training. Generating the data, evaluation and compilation are not
timed.

Results are written after each run, and after each epoch of Zoology's trainer.
"""

import gc
import json
import math
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from dataset_builders import InputError
from dataset_builders.checks import check_integer, check_positive
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json
from dataset_builders.mqar import Mqar
from synthetic_training.data.training_data import training_data
from synthetic_training.models.sizes import count_parameters
from synthetic_training.provenance import provenance
from synthetic_training.speed.mqar_report import plot_files, save, table, with_ratio
from synthetic_training.speed.mqar_run import (
    BATCH_SIZES,
    Model,
    MqarRun,
    Run,
    ranked,
    train_config,
    train_with_ours,
)
from synthetic_training.speed.zoology_trainer import load_zoology, sources_sha256, train_with_zoology

Observe = Callable[[Run], None]
"""A function that is called with the result of a run so far."""

_SIZE = "LENGTHxPAIRS"


@dataclass(frozen=True)
class Comparison:
    """Compare accuracy and examples per second of this trainer and Zoology's on MQAR."""

    zoology: Annotated[Path, tyro.conf.Positional]
    """Folder of a checkout of Zoology."""
    models: tuple[Model, ...] = ("attention", "attention_mlp", "mamba")
    """Models to train; attention_mlp is trained only with this trainer."""
    sizes: tuple[str, ...] = ("64x4", "256x16")
    """Number of tokens and number of pairs of an example, as LENGTHxPAIRS."""
    width: int = 128
    """Width of the models."""
    layers: int = 2
    """Number of layers."""
    vocabulary: int = 8192
    """Number of different tokens."""
    random_non_queries: bool = False
    """Put random tokens between the queries, instead of token 0."""
    examples: int = 100_000
    """Number of examples per epoch, the size of Zoology's training set."""
    fresh: bool = False
    """Let this trainer use new examples in every step, instead of a fixed training set."""
    epochs: int = 64
    """Maximum number of epochs; the learning rate reaches 0 at the end of the last."""
    batch_size: int | None = None
    """Rows per step (default: Zoology's for the number of tokens)."""
    lr: tuple[float, ...] = tuple(10 ** (-4 + 2 * i / 3) for i in range(4))
    """Learning rates to try (default: Zoology's four, from 1e-4 to 1e-2)."""
    minutes: float | None = None
    """Minutes after the start of the command at which Zoology's training ends, with the epochs that fit; no
    run begins later (default: no limit)."""
    seed: int = 123
    """Random seed of weights and data."""
    precision: Literal["auto", "bf16", "tf32", "fp32"] = "auto"
    """Precision of this trainer; auto is bf16 on a GPU."""
    baseline: bool = True
    """Also train with Zoology's trainer."""
    revision: str | None = None
    """Code revision to record (default: from git)."""
    out: Path | None = None
    """JSON file for the results; it must not exist. A plot of the learning curves is written next to it."""


def main() -> None:
    """Train with both trainers, print a table, and write the results with their settings."""
    begun = time.monotonic()
    settings = cli(Comparison, prog="python -m synthetic_training.speed.mqar")
    if settings.minutes is not None:
        check_positive("minutes", settings.minutes)
    if not settings.lr or not all(0 < lr < math.inf for lr in settings.lr):
        raise InputError(f"lr must be learning rates above 0, not {settings.lr}")
    for name in ("models", "sizes"):
        if not getattr(settings, name):
            raise InputError(f"there are no {name} to compare; omit --{name} for the default")
    if settings.out:
        for file in (settings.out, *plot_files(settings.out)):
            check_new_file(file)
    tasks = [_task(settings, size) for size in settings.sizes]
    runs = [_runs(settings, model, task) for model in settings.models for task in tasks]
    if settings.baseline:
        load_zoology(settings.zoology)
    with tempfile.TemporaryDirectory() as scratch:
        measuring = _Measuring(settings, begun, Path(scratch) / "examples")
        for one in runs:
            measuring.add(one)
        measured = measuring.written()
    if settings.out:
        save(measured, settings.out)
    print(table(measured))


def _task(settings: Comparison, size: str) -> Mqar:
    length, _, pairs = size.partition("x")
    if not (length.isdecimal() and pairs.isdecimal()):
        raise InputError(f"size {size!r} is not {_SIZE}, such as 64x4")
    return Mqar(int(length), int(pairs), settings.vocabulary, random_non_queries=settings.random_non_queries)


def _runs(settings: Comparison, model: Model, task: Mqar) -> list[MqarRun]:
    """A run for each learning rate, with settings that this trainer accepts."""
    batch_size = settings.batch_size
    if batch_size is None:
        batch_size = BATCH_SIZES.get(task.length)
    if batch_size is None:
        raise InputError(f"Zoology has no batch size for {task.length} tokens; pass --batch-size")
    check_integer("batch_size", batch_size, 1)
    runs = [
        MqarRun(
            model=model,
            task=task,
            width=settings.width,
            layers=settings.layers,
            examples=settings.examples,
            batch_size=batch_size,
            epochs=settings.epochs,
            lr=lr,
            seed=settings.seed,
            precision=settings.precision,
        )
        for lr in settings.lr
    ]
    for run in runs:
        config = train_config(run, fresh=settings.fresh)
    count_parameters(config.model, training_data(config).tokens, **config.model_args)
    return runs


class _Measuring:
    """Trains models, and writes the results after each run.

    Args:
        settings: settings of the command.
        begun: value of ``time.monotonic()`` when the command began.
        cache: folder for Zoology's examples.
    """

    def __init__(self, settings: Comparison, begun: float, cache: Path) -> None:
        self._settings, self._cache = settings, cache
        self._deadline = math.inf if settings.minutes is None else begun + 60 * settings.minutes
        self._measured: list[dict[str, Any]] = []

    def add(self, runs: list[MqarRun]) -> None:
        """Train a model of one size with both trainers.

        Args:
            runs: a run for each learning rate.
        """
        first = runs[0]
        ours: list[Run] = []
        zoology: list[Run] = []
        one: dict[str, Any] = {"model": first.model, "length": first.task.length, "pairs": first.task.pairs}
        one |= {"batch_size": first.batch_size, "ours": ours, "zoology": zoology}
        self._measured.append(one)
        for run in runs:
            self._train(run, ours, self._ours)
        if not self._settings.baseline or first.model == "attention_mlp":
            return
        rates = [result["lr"] for result in ranked(ours)]
        for run in sorted(runs, key=lambda run: rates.index(run.lr) if run.lr in rates else len(rates)):
            if any(result.get("end") == "accuracy" for result in zoology):
                break
            self._train(run, zoology, self._zoology)

    def _ours(self, run: MqarRun, _observe: Observe) -> Run:
        return train_with_ours(run, fresh=self._settings.fresh)

    def _zoology(self, run: MqarRun, observe: Observe) -> Run:
        return train_with_zoology(run, self._cache, observe, self._deadline)

    def _train(self, run: MqarRun, results: list[Run], train: Callable[[MqarRun, Observe], Run]) -> None:
        """Train, and append the result to ``results``, the trainer's results, unless no time is left."""
        if time.monotonic() > self._deadline:
            return
        index = len(results)

        def observe(result: Run) -> None:
            results[index:] = [result]
            self.written()

        try:
            result = train(run, observe)
        except Exception as error:  # noqa: BLE001  Zoology's code may raise anything; other runs continue
            if not isinstance(error, InputError):
                traceback.print_exc()
            finished = results[index] if len(results) > index else {"lr": run.lr}
            result = {**finished, "failed": f"{type(error).__name__}: {error}"[:500]}
        observe(result)
        about = {"model": run.model, "length": run.task.length, "pairs": run.task.pairs}
        print(json.dumps({**about, **{k: v for k, v in results[index].items() if k != "curve"}}), flush=True)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def written(self) -> list[dict[str, Any]]:
        """Write the file, and return the measurements so far; see ``mqar_report.table``."""
        settings, measured = self._settings, [with_ratio(one) for one in self._measured]
        if settings.out is not None:
            options = {k: v for k, v in vars(settings).items() if k not in ("zoology", "out", "revision")}
            content = {
                "measured": measured,
                "options": options,
                "zoology_sha256": sources_sha256(settings.zoology) if settings.baseline else None,
                **provenance(settings.revision),
            }
            write_json(settings.out, content)
        return measured


if __name__ == "__main__":
    with command_errors():
        main()
