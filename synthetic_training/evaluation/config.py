"""Settings of ``evaluate``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from dataset_builders.command_help import DEFAULT_IN_TEXT, default_hint
from synthetic_training.argument_types import Value, key_values, length_ranges


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of the evaluation."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Folder of a run, of one of its checkpoints, or of another model with the same symbols."""
    task: Annotated[str | None, DEFAULT_IN_TEXT] = None
    """String task, such as copy (default: the task and settings of training)."""
    lengths: Annotated[tuple[int, ...], length_ranges, DEFAULT_IN_TEXT] = ()
    """String lengths in letters, as numbers or ranges that include their end, such as 20:120:20 (default: 10
    20 50 100); for mqar, numbers of pairs (default: as in training)."""
    num_examples: int = 500
    """Number of examples per length."""
    documents: Literal["fresh", "benchmark"] = "fresh"
    """fresh for new random strings, or benchmark for the documents of lm-eval's string tasks."""
    generate: bool = False
    """Generate answers greedily, instead of scoring the correct answer in one forward pass."""
    batch_size: int = 64
    """Number of examples per forward pass."""
    vocabulary: Annotated[int | None, DEFAULT_IN_TEXT] = None
    """Number of different letters in the strings (default: as in training)."""
    n: Annotated[int | None, DEFAULT_IN_TEXT] = None
    """Length of the n-gram in letters, for tasks that have one (default: as in training)."""
    k: Annotated[int | None, DEFAULT_IN_TEXT] = None
    """Length of the answer in letters (default: as in training)."""
    task_args: Annotated[dict[str, Value], key_values, DEFAULT_IN_TEXT] = field(default_factory=dict)
    """Other settings of the string task, such as name=2."""
    seed: int = 0
    """Random seed of the examples."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to evaluate on; auto uses a GPU if there is one."""
    out: Path | None = None
    """JSON file for the results; it must not exist yet."""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import", help_behavior_hint=default_hint)] = ()
    """Packages to import first, which register the model's type."""
    trust_remote_code: bool = False
    """Run the Python code in the model's folder."""
