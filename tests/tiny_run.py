"""A training run that takes a second, in this process or in one that can be killed."""

from pathlib import Path
from typing import Any

from synthetic_training.config import TrainConfig
from synthetic_training.training.run_log import read_metrics
from tests.forked import context

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_masked_heads": 2}

SETTINGS: dict[str, Any] = {
    "model": "T_hard_alibi",
    "model_args": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_masked_heads": 2,
    },
    "min_length": 1,
    "max_length": 5,
    "vocabulary": 3,
    "context_length": 32,
    "batch_size": 4,
    "steps": 30,
    "warmup_steps": 5,
    "lr": 1e-3,
    "eval_every": 10,
    "eval_lengths": [2, 5],
    "eval_examples": 16,
    "save_every": 4,
    "log_every": 3,
    "device": "cpu",
    "deterministic": True,
}

_TIMES = {"seconds", "tokens_per_second"}


def tiny(**changes: Any) -> TrainConfig:
    of_strings = (
        {"min_length", "max_length", "vocabulary"} if changes.get("task") in {"mqar", "documents"} else set()
    )
    settings = {name: value for name, value in SETTINGS.items() if name not in of_strings}
    return TrainConfig(**{**settings, **changes})


def metrics_without_times(run: Path) -> list[dict[str, Any]]:
    lines = read_metrics(run / "metrics.jsonl")
    return [{key: value for key, value in line.items() if key not in _TIMES} for line in lines]


def weights(run: Path) -> bytes:
    return (run / "model" / "model.safetensors").read_bytes()


def train_here(config: TrainConfig, out: Path, resume: bool) -> None:
    """Train in this process; run in a new process by ``start_training``."""
    import torch

    from synthetic_training.training.run import train

    torch.set_num_threads(1)
    train(config, out, resume=resume)


def start_training(config: TrainConfig, out: Path, resume: bool = False) -> Any:
    """Train in another process, which starts quickly because its imports are done."""
    process = context().Process(target=train_here, args=(config, out, resume))
    process.start()
    return process
