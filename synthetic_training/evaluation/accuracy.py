"""Accuracy by length, from one forced pass or from generated answers.

In a forced pass, the model sees the correct letters before each token that it predicts. If all predictions
are correct, greedy generation gives the same answer, so both give the same string accuracy. Letter accuracy
differs, because generation continues from its own errors.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationMixin, PreTrainedModel

from dataset_builders import InputError
from dataset_builders.string_tasks import StringTask
from dataset_builders.string_tasks.sampling import longest_example
from synthetic_training.data.strings import EvaluationBatch, evaluation_batches
from synthetic_training.data.strings.packing import IGNORED
from synthetic_training.models.construction import reading

Answer = Callable[[PreTrainedModel, EvaluationBatch], Tensor]
"""Function that returns a model's prediction after each token of a batch, (count, width)."""


@dataclass(frozen=True)
class Shard:
    """The part of the examples that one process evaluates.

    Attributes:
        process: index of this process, from 0.
        processes: number of processes.
        reduce: function that sums a tensor over all processes, in place; None for a single process.
    """

    process: int
    processes: int
    reduce: Callable[[Tensor], None] | None = None


@dataclass(frozen=True)
class LengthScore:
    """Means over the examples of one length, each with its standard error (``..._stderr``).

    Attributes:
        length: length of the strings in letters.
        num_examples: number of examples.
        string_accuracy: fraction of examples in which every letter of the answers is correct.
        letter_accuracy: mean fraction of correct letters in the answers of an example.
        exact_match: like ``string_accuracy``, but the full stop must follow, as in lm-eval's ``exact_match``.
    """

    length: int
    num_examples: int
    string_accuracy: float
    string_accuracy_stderr: float
    letter_accuracy: float
    letter_accuracy_stderr: float
    exact_match: float
    exact_match_stderr: float


def evaluate_lengths(
    model: PreTrainedModel,
    tasks: Sequence[StringTask],
    examples: int,
    *,
    seed: int,
    batch_tokens: int,
    bf16: bool,
    shard: Shard,
) -> list[LengthScore]:
    """The forced accuracy at each length, on fresh examples that are distributed over the processes.

    Args:
        model: the model in evaluation mode.
        tasks: the task at each length, with equal minimum and maximum lengths.
        examples: number of examples per length, at least 2.
        seed: seed of the examples, which are disjoint from the training examples.
        batch_tokens: approximate number of tokens per forward pass.
        bf16: whether to compute in bfloat16.
        shard: part of the examples that this process evaluates.
    """
    first, end = (examples * i // shard.processes for i in (shard.process, shard.process + 1))
    scores = []
    for task in tasks:
        size = max(1, batch_tokens // longest_example(task))
        batches = evaluation_batches(task, range(first, end), size, seed, model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            scores.append(length_score(model, task.max_length, batches, forced_answers, shard))
    return scores


@torch.no_grad()
def length_score(
    model: PreTrainedModel,
    length: int,
    batches: Iterable[EvaluationBatch],
    answer: Answer,
    shard: Shard | None = None,
) -> LengthScore:
    """Score a model's answers to all examples of one length.

    Args:
        model: the model in evaluation mode.
        length: length of the strings in letters.
        batches: all examples, or those of ``shard``.
        answer: function that returns the model's predictions, such as ``forced_answers``.
        shard: part of the examples that this process evaluates; None for all of them.

    Raises:
        InputError: the model cannot read rows of this length, e.g. because its context window is too small.
    """
    sums = torch.zeros(7, dtype=torch.float64, device=model.device)
    examples = f"examples of length {length}"
    with reading(model, examples):  # a GPU reports an error of the model in a later operation
        for batch in batches:
            with reading(model, f"the {batch.input_ids.shape[1]} tokens of {examples}"):
                predicted = answer(model, batch)
            each = _scores(predicted, batch)
            sums += torch.cat([each.new_tensor([len(each)]), each.sum(0), each.square().sum(0)])
    if shard is not None and shard.reduce is not None:
        shard.reduce(sums)
    with reading(model, examples):
        count, *rest = sums.tolist()
    means = [mean_and_error(*sums, count) for sums in zip(rest[:3], rest[3:], strict=True)]
    return LengthScore(length, int(count), *means[0], *means[1], *means[2])


def forced_answers(model: PreTrainedModel, batch: EvaluationBatch) -> Tensor:
    """The most probable next token after each token, (count, width) int64, given the correct answers."""
    logits: Tensor = model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
    ).logits
    return logits.argmax(-1)


def generated_answers(model: PreTrainedModel, batch: EvaluationBatch) -> Tensor:
    """The greedily generated tokens at the positions of the answers, (count, width) int64; -1 elsewhere.

    Raises:
        InputError: an example has several answers, which cannot be generated one after the other.
    """
    assert isinstance(model, GenerationMixin)  # noqa: S101  evaluate checks it
    scored = batch.targets != IGNORED
    begins = scored & ~torch.nn.functional.pad(scored, (1, 0))[:, :-1]
    if bool((begins.sum(1) > 1).any()):
        raise InputError(
            "the answers of an example with several answers cannot be generated; evaluate without --generate"
        )
    prompts, mask = batch.left_padded_prompts()
    longest = int(scored.sum(1).max())
    texts = model.generate(
        input_ids=prompts,
        attention_mask=mask,
        max_new_tokens=longest,
        do_sample=False,
        eos_token_id=batch.end_id,
        pad_token_id=batch.pad_id,
    )
    new = texts[:, prompts.shape[1] :]
    place = torch.arange(scored.shape[1], device=new.device) - (batch.prompt_lengths - 1)[:, None]
    generated = new.gather(1, place.clamp(0, new.shape[1] - 1))
    return generated.masked_fill((place < 0) | (place >= new.shape[1]), -1)


def _scores(predicted: Tensor, batch: EvaluationBatch) -> Tensor:
    """String accuracy, letter accuracy and exact match of each example, (count, 3)."""
    right = predicted == batch.targets
    letters = batch.answers.sum(1)
    right_letters = (right & batch.answers).sum(1)
    whole = (right | (batch.targets == IGNORED)).all(1)
    strings = (right_letters == letters) & (letters > 0)
    return torch.stack(
        [strings.double(), right_letters / letters.clamp(min=1).double(), whole.double()], dim=1
    )


def mean_and_error(total: float, squares: float, count: float) -> tuple[float, float]:
    """Mean and standard error of at least two values, from their sum and the sum of their squares."""
    mean = total / count
    variance = max(0.0, squares / count - mean * mean) * count / (count - 1)
    return mean, float((variance / count) ** 0.5)
