"""One run of the comparison on MQAR, and this project's trainer for it."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch

from dataset_builders.files import read_json
from dataset_builders.mqar import Mqar
from synthetic_training.config import TrainConfig
from synthetic_training.training.run import train
from synthetic_training.training.run_folder import METRICS, RUN
from synthetic_training.training.run_log import read_metrics

Model = Literal["attention", "attention_mlp", "mamba"]
"""Models to compare; ``attention_mlp``, with rotary positions and MLPs, is only trained by this trainer."""

STOP_ACCURACY = 0.99
"""Accuracy at which training ends, as in Zoology."""

TEST_EXAMPLES = 3000
"""Number of examples that Zoology evaluates on."""

BATCH_SIZES = {64: 512, 128: 512, 256: 256, 512: 128}
"""Zoology's rows per step by the number of tokens of an example."""

Run = dict[str, Any]
"""Result of a run.

``lr`` is the learning rate, ``seed`` the seed and ``precision`` the name of the precision; ``curve`` has
the number of ``examples`` trained on and the ``accuracy`` after each epoch; ``examples_per_s`` counts
training time only; ``seconds`` is the total time; ``end`` is the reason for the end of the run:
``accuracy``, ``epochs`` or ``time``. If a run failed, ``failed`` is the error, and the other keys exist
only if an epoch was finished.
"""


@dataclass(frozen=True)
class MqarRun:
    """Settings of a run.

    Attributes:
        model: the model.
        task: the task that makes the examples.
        width: width of the model (``d_model``).
        layers: number of layers.
        examples: number of examples in the training set.
        batch_size: rows per step.
        epochs: maximum number of epochs; the learning rate reaches 0 at the end of the last.
        lr: learning rate.
        seed: seed of the weights and the data.
        precision: precision of this trainer; Zoology's is always float32.
    """

    model: Model
    task: Mqar
    width: int
    layers: int
    examples: int
    batch_size: int
    epochs: int
    lr: float
    seed: int
    precision: Literal["auto", "bf16", "tf32", "fp32"] = "auto"


def ranked(runs: Sequence[Run]) -> list[Run]:
    """Runs from the best to the worst.

    Runs that reached ``STOP_ACCURACY`` are ranked by the number of examples that they needed. Runs that did
    not reach it follow, ranked by their highest accuracy.
    """

    def worth(run: Run) -> tuple[float, float]:
        if not run.get("curve"):
            return -1, 0
        point = best_point(run)
        return min(point["accuracy"], STOP_ACCURACY), -point["examples"]

    return sorted(runs, key=worth, reverse=True)


def best_run(runs: Sequence[Run]) -> Run | None:
    """The best run by the order of ``ranked``; None if no run has finished an epoch."""
    return next((run for run in ranked(runs) if run.get("curve")), None)


def best_point(run: Run) -> dict[str, Any]:
    """The point of a run's curve with the highest accuracy."""
    point: dict[str, Any] = max(run["curve"], key=lambda point: point["accuracy"])
    return point


def train_config(run: MqarRun, *, fresh: bool) -> TrainConfig:
    """Settings of this project's trainer for a run.

    Args:
        run: settings of the run.
        fresh: whether to train on new examples in every step, instead of a fixed training set.
    """
    sizes: dict[str, Any] = {"hidden_size": run.width, "num_hidden_layers": run.layers}
    models: dict[str, tuple[str, dict[str, Any]]] = {
        "attention": (
            "synthetic_training.speed.zoology_attention:ZoologyAttentionForCausalLM",
            {"max_position_embeddings": run.task.length},
        ),
        "attention_mlp": ("T_rope", {"num_attention_heads": 1, "tie_word_embeddings": True}),
        "mamba": ("mamba", {"state_size": 16, "norm": "final_layer"}),
    }
    model, others = models[run.model]
    epoch = max(1, run.examples // run.batch_size)
    return TrainConfig(
        model=model,
        model_args=sizes | others,
        task="mqar",
        vocabulary=run.task.vocabulary,
        pairs=run.task.pairs,
        context_length=run.task.length,
        task_args={"random_non_queries": run.task.random_non_queries},
        fixed_examples=None if fresh else run.examples,
        batch_size=run.batch_size,
        steps=epoch * run.epochs,
        lr=run.lr,
        schedule="cosine",
        warmup_steps=0,
        grad_clip=None,
        seed=run.seed,
        precision=run.precision,
        compile="on" if torch.cuda.is_available() else "off",
        eval_every=epoch,
        eval_examples=min(TEST_EXAMPLES, run.examples),
        save_every=2**31,
        log_every=50,
        stop_accuracy=STOP_ACCURACY,
    )


def train_with_ours(run: MqarRun, *, fresh: bool) -> Run:
    """Train a model as ``python -m synthetic_training train`` does.

    Args:
        run: settings of the run.
        fresh: see ``train_config``.
    """
    start = time.perf_counter()
    # without a reset, layers compiled for an earlier run would make the compiler use dynamic shapes
    torch.compiler.reset()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        train(train_config(run, fresh=fresh), out)
        metrics, content = read_metrics(out / METRICS), read_json(out / RUN)
    records = [record for record in metrics if record["kind"] == "train"]
    # the first steps include compilation
    rates = [record["tokens_per_second"] / run.task.length for record in records[2:] or records]
    curve = [
        {"examples": record["examples"], "accuracy": record["string_accuracy"]}
        for record in metrics
        if record["kind"] == "eval"
    ]
    return {
        "lr": run.lr,
        "seed": run.seed,
        "precision": content["config"]["precision"],
        "curve": curve,
        "examples_per_s": median(rates),
        "parameters": content["parameters"],
        "seconds": time.perf_counter() - start,
        "end": "accuracy" if curve[-1]["accuracy"] >= STOP_ACCURACY else "epochs",
    }
