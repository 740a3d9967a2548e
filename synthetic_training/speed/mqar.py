"""MQAR with this trainer and with Zoology's own (arXiv 2312.04927), in one run on one device.

    python -m synthetic_training.speed.mqar path/to/zoology --out mqar.json

The docstring of ``zoology_trainer`` names the required checkout. Both trainers use the same distribution of
examples, width, number of layers, rows per step, number of examples and learning rate. Zoology's attention
layers have one head, learned positions and no MLP. Ours is ``T_rope`` with one head, tied embeddings and an
MLP, in bfloat16 on a GPU. Both Mambas start with the initial weights of Mamba's authors. Zoology's learning
rate follows a cosine and changes after each epoch; ours falls linearly. Both stop at an accuracy of 0.99.

For each model and size, the report has the accuracy after each epoch, on examples that were not used for
training, and the examples per second of training. Making the data in advance, evaluation and compilation are
not timed.
"""

import gc
import json
import tempfile
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import torch
import tyro

from dataset_builders import InputError
from dataset_builders.command_line import command_errors
from dataset_builders.files import read_json, write_json
from dataset_builders.mqar import Mqar
from synthetic_training.config import TrainConfig
from synthetic_training.provenance import provenance
from synthetic_training.speed.mqar_report import save, table
from synthetic_training.speed.zoology_trainer import (
    BATCH_SIZES,
    TEST_EXAMPLES,
    ZoologyRun,
    load_zoology,
    sources_sha256,
    train_with_zoology,
)
from synthetic_training.training.run import train
from synthetic_training.training.run_folder import METRICS, RUN
from synthetic_training.training.run_log import read_metrics

_SIZE = "LENGTHxPAIRS"


@dataclass(frozen=True)
class Comparison:
    """Compare accuracy and examples per second of this trainer and Zoology's on MQAR."""

    zoology: Annotated[Path, tyro.conf.Positional]
    """Folder of a checkout of Zoology."""
    models: tuple[Literal["attention", "mamba"], ...] = ("attention", "mamba")
    """Models to train."""
    sizes: tuple[str, ...] = ("64x4", "256x16")
    """Numbers of tokens and of pairs of an example, as LENGTHxPAIRS."""
    width: int = 128
    """Width of the models."""
    layers: int = 2
    """Number of layers."""
    vocabulary: int = 8192
    """Number of different tokens."""
    random_non_queries: bool = False
    """Put random tokens between the queries, instead of token 0."""
    examples: int = 100_000
    """Number of examples per epoch; Zoology's training set."""
    fresh: bool = False
    """Train ours on new examples in every step, instead of a fixed training set of the same size."""
    epochs: int = 16
    """Maximum number of epochs."""
    batch_size: int | None = None
    """Rows per step (default: Zoology's for the number of tokens)."""
    lr: float = 10**-3 * 10 ** (1 / 3)
    """Learning rate; by default the third of Zoology's four."""
    seed: int = 123
    """Random seed of weights and data."""
    baseline: bool = True
    """Train with Zoology as well."""
    revision: str | None = None
    """Revision of this code, if git cannot tell."""
    out: Path | None = None
    """JSON file for the numbers; a plot of the curves is written beside it."""


def main() -> None:
    """Train with both, print a table, and write the numbers with their settings."""
    settings = tyro.cli(Comparison, prog="python -m synthetic_training.speed.mqar")
    tasks = [_task(settings, size) for size in settings.sizes]
    if settings.baseline:
        load_zoology(settings.zoology)
    measured: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for model in settings.models:
            for task in tasks:
                run = _run(settings, model, task, Path(scratch))
                measured.append(_measure(run, settings))
                print(json.dumps({k: v for k, v in measured[-1].items() if "curve" not in k}), flush=True)
                if settings.out:
                    _write(settings.out, measured, settings)
    if settings.out:
        save(measured, settings.out)
    print(table(measured))


def _task(settings: Comparison, size: str) -> Mqar:
    length, _, pairs = size.partition("x")
    if not (length.isdecimal() and pairs.isdecimal()):
        raise InputError(f"size {size!r} is not {_SIZE}, such as 64x4")
    return Mqar(int(length), int(pairs), settings.vocabulary, random_non_queries=settings.random_non_queries)


def _run(settings: Comparison, model: str, task: Mqar, scratch: Path) -> ZoologyRun:
    batch_size = settings.batch_size or BATCH_SIZES.get(task.length)
    if batch_size is None:
        raise InputError(f"Zoology has no batch size for {task.length} tokens; pass --batch-size")
    return ZoologyRun(
        model=model,
        task=task,
        width=settings.width,
        layers=settings.layers,
        examples=settings.examples,
        batch_size=batch_size,
        epochs=settings.epochs,
        lr=settings.lr,
        stop_accuracy=0.99,
        seed=settings.seed,
        cache=scratch / "examples",
    )


def _measure(run: ZoologyRun, settings: Comparison) -> dict[str, Any]:
    one: dict[str, Any] = {"model": run.model, "length": run.task.length, "pairs": run.task.pairs}
    one["batch_size"] = run.batch_size
    parts = {"ours": lambda: train_with_ours(run, fresh=settings.fresh)}
    if settings.baseline:
        parts["zoology"] = lambda: train_with_zoology(run)
    for name, part in parts.items():
        try:
            one |= {f"{name}_{key}": value for key, value in part().items()}
        except Exception as error:  # noqa: BLE001  whatever fails in the other's code, measuring goes on
            traceback.print_exc()
            one[f"{name}_failed"] = f"{type(error).__name__}: {error}"[:500]
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    if "ours_examples_per_s" in one and "zoology_examples_per_s" in one:
        one["ratio"] = one["ours_examples_per_s"] / one["zoology_examples_per_s"]
    return one


def train_config(run: ZoologyRun, *, fresh: bool) -> TrainConfig:
    """Settings of this trainer for the same run."""
    sizes: dict[str, Any] = {"hidden_size": run.width, "num_hidden_layers": run.layers}
    if run.model == "attention":
        sizes |= {"num_attention_heads": 1, "tie_word_embeddings": True}
    else:
        sizes |= {"state_size": 16}
    epoch = max(1, run.examples // run.batch_size)
    return TrainConfig(
        model={"attention": "T_rope", "mamba": "mamba"}[run.model],
        model_args=sizes,
        task="mqar",
        vocabulary=run.task.vocabulary,
        pairs=run.task.pairs,
        context_length=run.task.length,
        task_args={"random_non_queries": run.task.random_non_queries},
        fixed_examples=None if fresh else run.examples,
        batch_size=run.batch_size,
        steps=epoch * run.epochs,
        warmup_steps=min(100, epoch * run.epochs // 10),
        lr=run.lr,
        seed=run.seed,
        compile="on" if torch.cuda.is_available() else "off",
        eval_every=epoch,
        eval_examples=min(TEST_EXAMPLES, run.examples),
        save_every=2**31,
        log_every=50,
        stop_accuracy=run.stop_accuracy,
    )


def train_with_ours(run: ZoologyRun, *, fresh: bool) -> dict[str, Any]:
    """Train a model as ``python -m synthetic_training train`` does; the result has the form of Zoology's."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        train(train_config(run, fresh=fresh), out)
        metrics, content = read_metrics(out / METRICS), read_json(out / RUN)
    records = [record for record in metrics if record["kind"] == "train"]
    # the first steps include compilation
    rates = [record["tokens_per_second"] / run.task.length for record in records[2:] or records]
    return {
        "curve": [
            {"examples": record["examples"], "accuracy": record["string_accuracy"]}
            for record in metrics
            if record["kind"] == "eval"
        ],
        "examples_per_s": median(rates),
        "parameters": content["parameters"],
        "seconds": time.perf_counter() - start,
    }


def _write(out: Path, measured: list[dict[str, Any]], settings: Comparison) -> None:
    options = {k: v for k, v in vars(settings).items() if k not in ("zoology", "out", "revision")}
    content = {
        "measured": measured,
        "options": options,
        "zoology_sha256": sources_sha256(settings.zoology) if settings.baseline else None,
        **provenance(settings.revision),
    }
    write_json(out, content)


if __name__ == "__main__":
    with command_errors():
        main()
