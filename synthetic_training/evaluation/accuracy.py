"""Accuracy on examples of one length after the other, from one forced pass or from generated answers.

A forced pass sees the right answer's letters before each token it predicts. An answer that is right in all
places is then the one that greedy generation gives, so string accuracy is the same in both; letter accuracy
is not, since a generated answer goes on from its own errors.
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

Answer = Callable[[PreTrainedModel, EvaluationBatch], Tensor]
"""Gives what a model says comes after each token of a batch, (count, width)."""


@dataclass(frozen=True)
class Share:
    """Which of the processes this is, and how sums over all of them are made; None where there is one."""

    process: int
    processes: int
    reduce: Callable[[Tensor], None] | None = None


@dataclass(frozen=True)
class LengthScore:
    """Means over the examples of one length, with standard errors.

    Attributes:
        length: letters of the strings.
        asked: number of examples.
        string_accuracy: share of examples in which every letter of the answers is right.
        letter_accuracy: share of an example's answer letters that are right.
        exact_match: as ``string_accuracy``, and the full stop follows: what lm-eval calls by this name.
    """

    length: int
    asked: int
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
    share: Share,
) -> list[LengthScore]:
    """Forced accuracy on fresh examples, which are shared out to the processes.

    Args:
        model: in evaluation mode.
        tasks: the task at each length.
        examples: of each length, at least 2.
        seed: of the examples; they are none of a training run's.
        batch_tokens: about as many tokens are read at once.
        bf16: whether to compute in bfloat16.
        share: this process.
    """
    first, end = (examples * i // share.processes for i in (share.process, share.process + 1))
    scores = []
    for task in tasks:
        size = max(1, batch_tokens // longest_example(task))
        batches = evaluation_batches(task, range(first, end), size, seed, model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            scores.append(length_score(model, task.max_length, batches, forced_answers, share))
    return scores


@torch.no_grad()
def length_score(
    model: PreTrainedModel,
    length: int,
    batches: Iterable[EvaluationBatch],
    answer: Answer,
    share: Share | None = None,
) -> LengthScore:
    """Score a model's answers to all examples of one length.

    Raises:
        InputError: the model cannot read so many tokens.
    """
    sums = torch.zeros(7, dtype=torch.float64, device=model.device)
    for batch in batches:
        try:
            predicted = answer(model, batch)
        except IndexError:
            width = batch.input_ids.shape[1]
            raise InputError(
                f"the model cannot read the {width} tokens of strings of {length} letters"
            ) from None
        each = _scores(predicted, batch)
        sums += torch.cat([each.new_tensor([len(each)]), each.sum(0), each.square().sum(0)])
    if share is not None and share.reduce is not None:
        share.reduce(sums)
    count, *rest = sums.tolist()
    (string, letter, exact), squares = (r / count for r in rest[:3]), [r / count for r in rest[3:]]
    errors = [_stderr(m, s, count) for m, s in zip((string, letter, exact), squares, strict=True)]
    return LengthScore(length, int(count), string, errors[0], letter, errors[1], exact, errors[2])


def forced_answers(model: PreTrainedModel, batch: EvaluationBatch) -> Tensor:
    """The arg-max at each place of the right answers, in one pass."""
    logits: Tensor = model(
        input_ids=batch.input_ids, attention_mask=batch.attention_mask, use_cache=False
    ).logits
    return logits.argmax(-1)


def generated_answers(model: PreTrainedModel, batch: EvaluationBatch) -> Tensor:
    """What the model continues the prompts with, greedily, at the places of the answers; -1 elsewhere.

    Raises:
        InputError: an example has several answers, which cannot be generated one after the other.
    """
    assert isinstance(model, GenerationMixin)  # noqa: S101  as all causal models of transformers are
    scored = batch.targets != IGNORED
    begins = scored & ~torch.nn.functional.pad(scored, (1, 0))[:, :-1]
    if bool((begins.sum(1) > 1).any()):
        raise InputError(
            "examples with several answers cannot be generated; evaluate them without --generate"
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
    """(count, 3): whether every letter is right, the share that is, and whether what ends the text is too."""
    right = predicted == batch.targets
    letters = batch.answers.sum(1)
    right_letters = (right & batch.answers).sum(1)
    whole = (right | (batch.targets == IGNORED)).all(1)
    strings = (right_letters == letters) & (letters > 0)
    return torch.stack(
        [strings.double(), right_letters / letters.clamp(min=1).double(), whole.double()], dim=1
    )


def _stderr(mean: float, square: float, count: float) -> float:
    variance = max(0.0, square - mean * mean) * count / (count - 1)
    return float((variance / count) ** 0.5)
