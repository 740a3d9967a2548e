"""Checks that this trainer and Zoology's do the same in every step of training on MQAR.

    python -m synthetic_training.speed.mqar_equality path/to/zoology --out mqar_equality.json

Both trainers begin with the same weights and train on the same examples, in float32, at one learning rate.
As in Zoology, there is no warm-up, and gradients are not clipped. Dropout is off, because it is random. Then
losses must be equal, except for rounding. Rounding errors grow from step to step, and fast while a model
learns fast; in a long run, the two models may end at different accuracies.
"""

import contextlib
import importlib
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro
from tabulate import tabulate
from torch import Tensor, nn

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json
from dataset_builders.mqar import Mqar, MqarExamples
from synthetic_training.config import TrainConfig
from synthetic_training.data.mqar.batches import MqarSampler, targets_of
from synthetic_training.data.strings.device_sampling import EVALUATE
from synthetic_training.data.strings.packing import IGNORED
from synthetic_training.data.training_data import training_data
from synthetic_training.models.registry import build_model
from synthetic_training.provenance import provenance
from synthetic_training.speed.mqar_run import MqarRun, train_config
from synthetic_training.speed.zoology_trainer import load_zoology, sources_sha256, use_kernels, zoology_config
from synthetic_training.training.run import train
from synthetic_training.training.run_folder import METRICS
from synthetic_training.training.run_log import read_metrics

_NAMES = {
    "attention": {
        "embed.": "backbone.embeddings.word_embeddings.",
        "positions.": "backbone.embeddings.position_embeddings.",
        "lm_head.norm.": "backbone.ln_f.",
        "layers.": "backbone.layers.",
        ".qkv.": ".sequence_mixer.Wqkv.",
        ".out.": ".sequence_mixer.out_proj.",
    },
    "mamba": {"backbone.embeddings.": "backbone.embeddings.word_embeddings.", ".norm_f.": ".ln_f."},
}
"""Parts of the names of weights in this project's models, and in Zoology's."""


_BOUNDS = (1e-6, 1e-5, 1e-2)
"""Relative differences of losses; the first step in which each is exceeded is shown."""


@dataclass(frozen=True)
class Equality:
    """Train with this trainer and Zoology's from the same weights on the same examples, and compare."""

    zoology: Annotated[Path, tyro.conf.Positional]
    """Folder of a checkout of Zoology."""
    models: tuple[Literal["attention", "mamba"], ...] = ("attention", "mamba")
    """Models to train."""
    length: int = 64
    """Number of tokens of an example."""
    pairs: int = 4
    """Number of pairs of an example."""
    width: int = 32
    """Width of the models."""
    vocabulary: int = 512
    """Number of different tokens."""
    batch_size: int = 64
    """Rows per step."""
    steps: int = 50
    """Number of steps."""
    lr: float = 10 ** (-4 + 4 / 3)
    """Learning rate."""
    seed: int = 123
    """Random seed of weights and data."""
    revision: str | None = None
    """Code revision to record (default: from git)."""
    out: Path | None = None
    """New JSON file for the results."""


def main() -> None:
    """Train each model with both trainers, print how much they differ, and write the results."""
    settings = cli(Equality, prog="python -m synthetic_training.speed.mqar_equality")
    if not settings.models:
        raise InputError("there are no models to compare; omit --models for the default")
    if settings.out is not None:
        check_new_file(settings.out)
    load_zoology(settings.zoology)
    measured = [compare(model, settings) for model in settings.models]
    if settings.out is not None:
        options = {k: v for k, v in vars(settings).items() if k not in ("zoology", "out", "revision")}
        content = {
            "measured": measured,
            "options": options,
            "zoology_sha256": sources_sha256(settings.zoology),
            **provenance(settings.revision),
        }
        write_json(settings.out, content)
    print(table(measured))


def table(measured: list[dict[str, Any]]) -> str:
    """The results of ``compare`` as a Markdown table."""
    columns = ["model", "logits differ by", "first loss differs by"]
    columns += [f"first step with a loss that differs by {bound:.0e}" for bound in _BOUNDS]
    columns += ["accuracy, Zoology", "ours"]
    rows = []
    for one in measured:
        row = [one["model"], f"{one['logits']:.1e}", f"{one['first_loss']:.1e}"]
        row += [str(first["step"] or "none") for first in one["first_steps"]]
        rows.append([*row, *(f"{one['accuracy'][name]:.3f}" for name in ("zoology", "ours"))])
    return tabulate(rows, columns, tablefmt="github", disable_numparse=True)


def compare(model: Literal["attention", "mamba"], settings: Equality) -> dict[str, Any]:
    """Train a model with both trainers, and return their losses, accuracies and differences.

    Returns:
        Relative differences of the ``logits`` of a batch before training (the norm of the difference, divided
        by the norm) and of the ``first_loss``; ``first_steps``, the first step whose loss differs by more
        than each bound; and ``last_losses`` and ``accuracy`` after the last step, of both trainers.
    """
    config, run = _config(model, settings)
    data = training_data(config)
    torch.manual_seed(config.seed)
    initial = build_model(config.model, data.tokens, trust_remote_code=False, **config.model_args)
    zoology = _zoology_model(run, initial)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batches = data.batches(device, progress=False)
    rows = [batches.batch(step) for step in range(settings.steps)]
    ids = rows[0].input_ids
    with torch.no_grad():
        logits = initial.eval().to(device)(input_ids=ids).logits
        logits_difference = _difference(logits, zoology.eval().to(device)(ids))
    with tempfile.TemporaryDirectory() as folder:
        train(config, Path(folder) / "run")
        metrics = read_metrics(Path(folder) / "run" / METRICS)
    train_batches = [(packed.input_ids, packed.targets) for packed in rows]
    drawn = MqarSampler(run.task, EVALUATE, config.seed, device).sample(
        torch.arange(config.eval_examples, device=device), 0
    )
    losses, accuracy = _train_zoology(zoology, run, train_batches, drawn, device)
    ours = [record["loss"] for record in metrics if record["kind"] == "train"]
    (evaluated,) = (record["string_accuracy"] for record in metrics if record["kind"] == "eval")
    differences = [abs(one - other) / other for one, other in zip(ours, losses, strict=True)]
    return {
        "model": model,
        "logits": logits_difference,
        "first_loss": differences[0],
        "first_steps": [
            {"bound": bound, "step": next((step for step, d in enumerate(differences, 1) if d > bound), None)}
            for bound in _BOUNDS
        ],
        "last_losses": {"ours": ours[-1], "zoology": losses[-1]},
        "accuracy": {"ours": evaluated, "zoology": accuracy},
    }


def _config(model: Literal["attention", "mamba"], settings: Equality) -> tuple[TrainConfig, MqarRun]:
    """The settings of this trainer and of Zoology's, of one epoch, in which both have one learning rate."""
    run = MqarRun(
        model=model,
        task=Mqar(settings.length, settings.pairs, settings.vocabulary, random_non_queries=False),
        width=settings.width,
        layers=2,
        examples=settings.steps * settings.batch_size,
        batch_size=settings.batch_size,
        epochs=1,
        lr=settings.lr,
        seed=settings.seed,
        precision="fp32",
    )
    config = train_config(run, fresh=False)
    without_dropout = {"embedding_dropout": 0.0, "attention_dropout": 0.0} if model == "attention" else {}
    config = replace(
        config,
        model_args={**config.model_args, **without_dropout},
        schedule="constant",
        log_every=1,
        stop_accuracy=None,
    )
    return config, run


def _zoology_model(run: MqarRun, initial: nn.Module) -> nn.Module:
    """Zoology's model with the weights of ``initial``, and without dropout."""
    use_kernels(run)
    config = zoology_config(run, Path())
    config.model.embed_dropout = 0.0
    config.model.sequence_mixer.kwargs.pop("dropout", None)
    language_model: Any = importlib.import_module("zoology.model").LanguageModel
    with contextlib.redirect_stdout(io.StringIO()):
        model: nn.Module = language_model(config.model)
    weights = {_name(run.model, name): weight for name, weight in initial.state_dict().items()}
    model.load_state_dict(weights)
    return model


def _name(model: str, name: str) -> str:
    """Zoology's name of a weight."""
    for ours, theirs in _NAMES[model].items():
        name = name.replace(ours, theirs)
    return name


class _Losses:
    """Takes the place of Zoology's logger."""

    def __init__(self) -> None:
        self.found: list[Tensor] = []

    def log(self, metrics: Mapping[str, Any]) -> None:
        if "train/loss" in metrics:
            self.found.append(metrics["train/loss"].detach())


def _train_zoology(
    model: nn.Module,
    run: MqarRun,
    batches: list[tuple[Tensor, Tensor]],
    evaluation: MqarExamples,
    device: torch.device,
) -> tuple[list[float], float]:
    """The losses of Zoology's training for one epoch, and the accuracy after it."""
    trainer: Any = importlib.import_module("zoology.train").Trainer
    losses = _Losses()
    tokens, targets = (part.split(run.batch_size) for part in (evaluation.tokens, targets_of(evaluation)))
    tests = list(zip(tokens, targets, strict=True))
    settings = trainer(
        model=model,
        train_dataloader=[(*batch, [{}] * run.batch_size) for batch in batches],
        test_dataloader=[(*test, [{}] * len(test[0])) for test in tests],
        max_epochs=1,
        learning_rate=run.lr,
        device=str(device),
        logger=losses,
    )
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        settings.fit()
    model.eval()
    with torch.no_grad():
        right = torch.cat([(model(ids).argmax(-1) == wanted)[wanted != IGNORED] for ids, wanted in tests])
    return [loss.item() for loss in losses.found], right.double().mean().item()


def _difference(one: Tensor, other: Tensor) -> float:
    return ((one - other).norm() / other.norm()).item()


if __name__ == "__main__":
    with command_errors():
        main()
