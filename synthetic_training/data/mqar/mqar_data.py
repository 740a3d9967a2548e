"""MQAR as training data, and the evaluation of models on new examples in one forward pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from transformers import PreTrainedModel

from dataset_builders.mqar import BLANK, Mqar
from synthetic_training.data.mqar.batches import MqarBatches, MqarSampler
from synthetic_training.data.strings.device_sampling import EVALUATE
from synthetic_training.evaluation.accuracy import LengthScore, Shard, mean_and_error
from synthetic_training.models.output_positions import OutputPositions

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class MqarData:
    """Multi-query associative recall; see ``dataset_builders.mqar``.

    Attributes:
        task: the task with the number of pairs used in training.
        eval_pairs: numbers of pairs to evaluate, with the same number of tokens as in training.
        batch_size: number of rows per step, over all processes.
        eval_examples: number of examples per evaluated number of pairs.
        seed: seed of the run.
        fixed_examples: number of examples in a fixed training set; None for new examples in every step.

    Raises:
        InputError: a number of pairs does not fit into an example.
    """

    task: Mqar
    eval_pairs: Sequence[int]
    batch_size: int
    eval_examples: int
    seed: int
    fixed_examples: int | None = None

    def __post_init__(self) -> None:
        self.eval_tasks  # noqa: B018  raises InputError if one is invalid

    @property
    def eval_tasks(self) -> list[Mqar]:
        """The task at each evaluated number of pairs."""
        return [replace(self.task, pairs=pairs) for pairs in self.eval_pairs or (self.task.pairs,)]

    @property
    def tokens(self) -> Mapping[str, int]:
        special = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), BLANK)
        return {"vocab_size": self.task.vocabulary, **special}

    @property
    def longest_row(self) -> int:
        return self.task.length

    def tokenizer(self, window: int | None) -> PreTrainedTokenizerFast:
        from synthetic_training.data.mqar.number_tokenizer import number_tokenizer

        return number_tokenizer(self.task.vocabulary, window or self.task.length)

    def batches(self, device: torch.device, *, progress: bool) -> MqarBatches:  # noqa: ARG002  they take no time
        return MqarBatches(self.task, self.batch_size, self.seed, device, self.fixed_examples)

    def evaluate(
        self, model: PreTrainedModel, *, batch_tokens: int, bf16: bool, shard: Shard
    ) -> list[LengthScore]:
        """The fraction of queries that are answered correctly, for each number of pairs.

        An answer is one token, so string accuracy, letter accuracy and exact match are the same.
        """
        return [
            evaluate_mqar(
                model,
                task,
                self.eval_examples,
                seed=self.seed,
                batch_tokens=batch_tokens,
                bf16=bf16,
                shard=shard,
            )
            for task in self.eval_tasks
        ]


@torch.no_grad()
def evaluate_mqar(
    model: PreTrainedModel,
    task: Mqar,
    examples: int,
    *,
    seed: int,
    batch_tokens: int,
    bf16: bool,
    shard: Shard,
) -> LengthScore:
    """The fraction of queries that are answered correctly, like Zoology's ``valid/accuracy``.

    Args:
        model: the model, which is set to evaluation mode and then back to its previous mode.
        task: task of the examples.
        examples: number of examples, at least 2.
        seed: seed of the examples, which are disjoint from the training examples.
        batch_tokens: approximate number of tokens per forward pass.
        bf16: whether to compute in bfloat16.
        shard: part of the examples that this process evaluates.
    """
    first, end = (examples * i // shard.processes for i in (shard.process, shard.process + 1))
    sampler = MqarSampler(task, EVALUATE, seed, model.device)
    numbers = torch.arange(first, end, device=model.device)
    sums = torch.zeros(3, dtype=torch.float64, device=model.device)
    was_training = model.training
    model.eval()
    with OutputPositions(model) as positions:
        for rows in numbers.split(max(1, batch_tokens // task.length)) if end > first else ():
            drawn = sampler.sample(rows, 0)
            with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
                logits = positions.logits(drawn.queries, partial(_logits, model, drawn.tokens))
            each = (logits.argmax(-1) == drawn.answers).double().mean(1)
            sums += torch.stack([torch.ones_like(each).sum(), each.sum(), each.square().sum()])
    model.train(was_training)
    if shard.reduce is not None:
        shard.reduce(sums)
    count, total, squares = sums.tolist()
    accuracy, error = mean_and_error(total, squares, count)
    return LengthScore(task.pairs, int(count), *(accuracy, error) * 3)


def _logits(model: PreTrainedModel, tokens: Tensor) -> Tensor:
    logits: Tensor = model(input_ids=tokens, use_cache=False).logits
    return logits
