"""What a run is trained on: strings of the 30 symbols, or documents of bytes.

Each gives the batches, the tokens in which models read them, and how a model is evaluated on them. The
task of a run's settings says which it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dataset_builders.string_tasks.sampling import longest_example
from synthetic_training.data.strings import Packed, PackedBatches, check_context
from synthetic_training.data.tokens import model_tokens, symbol_tokenizer
from synthetic_training.evaluation.accuracy import LengthScore, Share, evaluate_lengths

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from synthetic_training.config import TrainConfig

_UNLIMITED = 2048
"""The window that is noted for models whose configuration has none, as lm-eval takes it."""


class Batches(Protocol):
    """The batches of a training run."""

    def batch(self, step: int | Tensor, first_row: int = 0, rows: int | None = None) -> Packed:
        """Rows of a step, as ``sampling.PackedBatches.batch`` gives them."""


class Material(Protocol):
    """What a run is trained on.

    Attributes:
        tokens: ``vocab_size`` and the ids of special tokens, as arguments of a model's configuration.
        longest: tokens of the longest row that a model reads in training or evaluation.
    """

    @property
    def tokens(self) -> Mapping[str, int]: ...

    @property
    def longest(self) -> int: ...

    def tokenizer(self, window: int | None) -> PreTrainedTokenizerFast:
        """What is saved beside a model of this window; None where its configuration has none."""

    def batches(self, device: torch.device, *, progress: bool) -> Batches:
        """The training batches, with a bar where making them takes time and one is wanted."""

    def evaluate(
        self, model: PreTrainedModel, *, batch_tokens: int, bf16: bool, share: Share
    ) -> list[LengthScore]:
        """Forced accuracy at each length on what is never trained on; see ``accuracy.evaluate_lengths``."""


def material_of(config: TrainConfig) -> Material:
    """What these settings train on.

    Raises:
        InputError: a value is out of range, or the context cannot hold an example.
    """
    if config.task == "documents":
        from synthetic_training.data.documents.material import DocumentMaterial

        return DocumentMaterial(config)
    return StringMaterial(config)


class StringMaterial:
    """Strings of letters with marks around them; see ``sampling.packing``.

    Args:
        config: of a run.

    Raises:
        InputError: a length or the context cannot hold an example.
    """

    def __init__(self, config: TrainConfig) -> None:
        check_context(config.string_task, config.context)
        self._config, self._evaluated = config, config.evaluated

    @property
    def tokens(self) -> Mapping[str, int]:
        return model_tokens(self._config.string_task.symbols)

    @property
    def longest(self) -> int:
        return max(self._config.context, *(longest_example(d) for d in self._evaluated))

    def tokenizer(self, window: int | None) -> PreTrainedTokenizerFast:
        return symbol_tokenizer(window or _UNLIMITED, self._config.string_task.symbols)

    def batches(self, device: torch.device, *, progress: bool) -> Batches:  # noqa: ARG002
        config = self._config
        return PackedBatches(config.string_task, config.context, config.batch_size, config.seed, device)

    def evaluate(
        self, model: PreTrainedModel, *, batch_tokens: int, bf16: bool, share: Share
    ) -> list[LengthScore]:
        config = self._config
        return evaluate_lengths(
            model,
            self._evaluated,
            config.eval_examples,
            seed=config.seed,
            batch_tokens=batch_tokens,
            bf16=bf16,
            share=share,
        )
