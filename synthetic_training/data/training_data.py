"""The training data of a run: strings of symbols, associative recall, or documents of bytes.

Each kind of training data defines the batches, the vocabulary and the evaluation of a model. The setting
``task`` of the run selects the kind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dataset_builders.string_tasks import StringTask
from dataset_builders.string_tasks.sampling import longest_example
from synthetic_training.config import DOCUMENTS, MQAR, TrainConfig
from synthetic_training.data.documents.document_data import DocumentData
from synthetic_training.data.documents.rows import Mix
from synthetic_training.data.mqar.mqar_data import MqarData
from synthetic_training.data.strings import Packed, PackedBatches, check_context
from synthetic_training.data.symbol_tokenizer import model_tokens, symbol_tokenizer
from synthetic_training.evaluation.accuracy import LengthScore, Shard, evaluate_lengths

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_UNLIMITED = 2048
"""Context window recorded for models whose configuration does not limit it; lm-eval uses the same value."""


class Batches(Protocol):
    """The batches of a training run."""

    def batch(self, step: int | Tensor, first_row: int = 0, rows: int | None = None) -> Packed:
        """Rows of the batch of one step; see ``PackedBatches.batch``."""

    def compile(self) -> Callable[..., Packed]:
        """``batch``, compiled where this saves time."""


class TrainingData(Protocol):
    """The training data of a run. It is cheap to create; ``batches`` takes time and memory.

    Attributes:
        tokens: ``vocab_size`` and the ids of special tokens, as arguments of a model's configuration.
        longest_row: number of tokens of the longest row that a model reads in training or evaluation.
    """

    @property
    def tokens(self) -> Mapping[str, int]: ...

    @property
    def longest_row(self) -> int: ...

    def tokenizer(self, window: int | None) -> PreTrainedTokenizerFast:
        """The tokenizer that is saved with a model; ``window`` is its context window, None if unlimited."""

    def batches(self, device: torch.device, *, progress: bool) -> Batches:
        """The training batches; ``progress`` shows a progress bar if they take time to generate."""

    def evaluate(
        self, model: PreTrainedModel, *, batch_tokens: int, bf16: bool, shard: Shard
    ) -> list[LengthScore]:
        """Forced accuracy at each length, on data that is not used in training; see
        ``accuracy.evaluate_lengths``."""


def training_data(config: TrainConfig) -> TrainingData:
    """The training data of a run.

    Raises:
        InputError: a value is out of range, or the context is too short for an example.
    """
    if config.task == DOCUMENTS:
        return DocumentData(
            Mix(config.mix, config.context_length, config.seed, config.context_loss_weight),
            batch_size=config.batch_size,
            pool_rows=config.pool_rows,
            eval_entries=config.eval_lengths,
            eval_examples=config.eval_examples,
        )
    if config.task == MQAR:
        return MqarData(
            config.mqar,
            config.eval_lengths,
            batch_size=config.batch_size,
            eval_examples=config.eval_examples,
            seed=config.seed,
            fixed_examples=config.fixed_examples,
        )
    return StringData(
        config.string_task,
        config.eval_tasks,
        context_length=config.context_length,
        batch_size=config.batch_size,
        eval_examples=config.eval_examples,
        seed=config.seed,
    )


@dataclass(frozen=True)
class StringData:
    """String tasks on sequences of letters and special symbols; see ``data.strings.packing``.

    Attributes:
        task: the task at the training lengths.
        eval_tasks: the task at each evaluated length.
        context_length: number of tokens per row.
        batch_size: number of rows per step, over all processes.
        eval_examples: number of examples per evaluated length.
        seed: seed of the run.

    Raises:
        InputError: the context is too short for an example.
    """

    task: StringTask
    eval_tasks: Sequence[StringTask]
    context_length: int
    batch_size: int
    eval_examples: int
    seed: int

    def __post_init__(self) -> None:
        check_context(self.task, self.context_length)

    @property
    def tokens(self) -> Mapping[str, int]:
        return model_tokens(self.task.symbols)

    @property
    def longest_row(self) -> int:
        return max(self.context_length, *map(longest_example, self.eval_tasks))

    def tokenizer(self, window: int | None) -> PreTrainedTokenizerFast:
        return symbol_tokenizer(window or _UNLIMITED, self.task.symbols)

    def batches(self, device: torch.device, *, progress: bool) -> Batches:  # noqa: ARG002  they take no time
        return PackedBatches(self.task, self.context_length, self.batch_size, self.seed, device)

    def evaluate(
        self, model: PreTrainedModel, *, batch_tokens: int, bf16: bool, shard: Shard
    ) -> list[LengthScore]:
        return evaluate_lengths(
            model,
            self.eval_tasks,
            self.eval_examples,
            seed=self.seed,
            batch_tokens=batch_tokens,
            bf16=bf16,
            shard=shard,
        )
