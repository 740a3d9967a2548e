"""The trainer of Zoology (arXiv 2312.04927), from a checkout that the user provides.

    git clone https://github.com/HazyResearch/zoology
    git -C zoology checkout dbcb60d

In the next commit, d88d6f5, ``LanguageModel`` returns hidden states where the trainer expects logits, and
training ends with an error.

Data, model and updates come from Zoology's own code, with the settings of its ``iclr24_zoology_figure2``.
Only these parts are replaced:

- ``wandb``, which is not used, and ``torchvision``, which is only used for stochastic depth with a rate of 0,
  do not need to be installed;
- Zoology's copy of mamba_ssm's kernels calls an older causal_conv1d; the kernels of the installed mamba_ssm
  are used instead, and those of ``zoology_kernels`` on a CPU;
- on a CPU, the embeddings are not moved to a GPU.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import io
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import torch
from torch import nn

from dataset_builders import InputError
from synthetic_training.speed.mqar_run import STOP_ACCURACY, TEST_EXAMPLES, MqarRun, Run
from synthetic_training.speed.zoology_kernels import LAYER_NORM, SELECTIVE_SCAN, use_plain_kernels


def load_zoology(checkout: Path) -> None:
    """Make the modules of a checkout importable.

    Raises:
        InputError: the folder contains no checkout, its revision cannot be trained, or a package is not
            installed.
    """
    if not (checkout / "zoology" / "train.py").is_file():
        raise InputError(f"{checkout} is not a checkout of https://github.com/HazyResearch/zoology")
    sys.path.insert(0, str(checkout.resolve()))
    if importlib.util.find_spec("wandb") is None:
        sys.modules["wandb"] = ModuleType("wandb")
    if importlib.util.find_spec("torchvision") is None:
        operations = ModuleType("torchvision.ops")
        vars(operations)["StochasticDepth"] = _NoStochasticDepth
        sys.modules |= {"torchvision": ModuleType("torchvision"), operations.__name__: operations}
    try:
        model = importlib.import_module("zoology.model")
        importlib.import_module("zoology.train")
    except ImportError as error:
        raise InputError(f"zoology cannot be imported: {error}") from None
    embeddings = inspect.signature(model.LanguageModel.forward).parameters.get("return_embeddings")
    if embeddings is not None and embeddings.default:
        raise InputError(
            f"zoology's trainer fails in this revision of {checkout}, because its model returns hidden "
            f"states instead of logits; run: git -C {checkout} checkout dbcb60d"
        )
    if not torch.cuda.is_available():
        init = model.TokenEmbeddings.__init__
        init.__defaults__ = tuple("cpu" if one == "cuda" else one for one in init.__defaults__)


def sources_sha256(checkout: Path) -> str:
    """A checksum of the checkout's Python files, which identifies its revision without git."""
    digest = hashlib.sha256()
    for file in sorted((checkout / "zoology").rglob("*.py")):
        digest.update(f"{file.relative_to(checkout)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


class _NoStochasticDepth(nn.Identity):
    """Stochastic depth that drops nothing."""

    def __init__(self, rate: float, mode: str) -> None:
        super().__init__()
        if rate:
            raise InputError(f"stochastic depth at a rate of {rate} ({mode}) needs the package torchvision")


def use_kernels(run: MqarRun) -> None:
    """Replace the kernels of Zoology's Mamba, if that is the model of a run.

    Raises:
        InputError: packages that it needs are not installed.
    """
    if run.model != "mamba":
        return
    if not torch.cuda.is_available():
        use_plain_kernels()
        return
    for theirs, installed in (
        (SELECTIVE_SCAN, "mamba_ssm.ops.selective_scan_interface"),
        (LAYER_NORM, "mamba_ssm.ops.triton.layer_norm"),
    ):
        try:
            sys.modules[theirs] = importlib.import_module(installed)
        except ImportError as error:
            raise InputError(
                f"zoology's Mamba needs the packages mamba_ssm and causal_conv1d: {error}; "
                "run: pip install 'repeat-after-me[cuda]', or leave mamba out of --models"
            ) from None


def train_with_zoology(
    run: MqarRun, cache: Path, observe: Callable[[Run], None], deadline: float = math.inf
) -> Run:
    """Train a model with ``zoology.train.train``, and return the result.

    ``examples_per_s`` is the median over all epochs except the first, without evaluation; ``seconds``
    includes the time to generate the examples.

    Args:
        run: settings of the run.
        cache: folder that stores the examples, which take long to generate.
        observe: function that is called with the result so far after each epoch.
        deadline: value of ``time.monotonic()`` by which training should end: no epoch starts that would end
            later if it took as long as the previous one.

    Raises:
        InputError: the packages that Mamba needs are not installed.
    """
    use_kernels(run)
    trainer: Any = importlib.import_module("zoology.train")
    own, seen = trainer.Trainer, _Observed(run)

    class Observed(own):  # type: ignore[misc,valid-type]  # known only at run time
        """Zoology's trainer, extended to record the time and accuracy of each epoch."""

        def train_epoch(self, epoch: int) -> None:
            seen.parameters = sum(p.numel() for p in self.model.parameters())
            self.begun = _now()
            super().train_epoch(epoch)
            seen.seconds.append(_now() - self.begun)

        def test(self, epoch: int) -> Any:
            metrics = super().test(epoch)
            seen.accuracies.append(metrics["valid/accuracy"])
            observe(seen.result("time"))
            with_evaluation = _now() - self.begun
            if epoch + 1 < run.epochs and time.monotonic() + with_evaluation > deadline:
                raise _TimeLimitReached
            return metrics

    output = io.StringIO()
    trainer.Trainer, end = Observed, "epochs"
    try:
        # hides progress bars, and the lines printed for each layer
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            trainer.train(zoology_config(run, cache))
    except _TimeLimitReached:
        end = "time"
    finally:
        trainer.Trainer = own
    return seen.result("accuracy" if seen.accuracies[-1] > STOP_ACCURACY else end)


class _TimeLimitReached(Exception):  # noqa: N818  not an error
    """Ends Zoology's training after an epoch."""


class _Observed:
    """The recorded seconds and accuracy of each epoch of a run, and the number of parameters."""

    def __init__(self, run: MqarRun) -> None:
        self._run, self._start = run, time.perf_counter()
        self.seconds: list[float] = []
        self.accuracies: list[float] = []
        self.parameters = 0

    def result(self, end: str) -> Run:
        """The result so far; ``end`` is the reason for which training ends."""
        examples = self._run.examples
        return {
            "lr": self._run.lr,
            "seed": self._run.seed,
            "precision": "fp32",
            "curve": [
                {"examples": examples * number, "accuracy": accuracy}
                for number, accuracy in enumerate(self.accuracies, 1)
            ],
            "examples_per_s": median(examples / seconds for seconds in self.seconds[1:] or self.seconds),
            "parameters": self.parameters,
            "seconds": time.perf_counter() - self._start,
            "end": end,
        }


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def zoology_config(run: MqarRun, cache: Path) -> Any:
    """The settings of a run as Zoology's ``TrainConfig``; ``cache`` is a folder for examples."""
    settings: Any = importlib.import_module("zoology.config")
    examples: Any = importlib.import_module("zoology.data.multiquery_ar")
    attention = run.model == "attention"
    task = {
        "vocab_size": run.task.vocabulary,
        "input_seq_len": run.task.length,
        "num_kv_pairs": run.task.pairs,
        "power_a": run.task.power_a,
        "random_non_queries": run.task.random_non_queries,
    }
    mixer = {"name": "zoology.mixers.attention.MHA", "kwargs": {"dropout": 0.1, "num_heads": 1}}
    if not attention:
        mixer = {"name": "zoology.mixers.mamba.Mamba", "kwargs": {}}
    return settings.TrainConfig(
        data=settings.DataConfig(
            train_configs=[examples.MQARConfig(num_examples=run.examples, **task)],
            test_configs=[examples.MQARConfig(num_examples=min(TEST_EXAMPLES, run.examples), **task)],
            batch_size=run.batch_size,
            cache_dir=str(cache),
            seed=run.seed,
        ),
        model=settings.ModelConfig(
            d_model=run.width,
            n_layers=run.layers,
            block_type="TransformerBlock" if attention else "MambaBlock",
            max_position_embeddings=run.task.length if attention else 0,
            vocab_size=run.task.vocabulary,
            sequence_mixer=mixer,
            state_mixer={"name": "torch.nn.Identity", "kwargs": {}},
        ),
        learning_rate=run.lr,
        max_epochs=run.epochs,
        early_stopping_threshold=STOP_ACCURACY,
        seed=run.seed,
        run_id="",
    )
