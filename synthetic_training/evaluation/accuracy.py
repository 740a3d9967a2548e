"""Accuracy on examples of one length after the other, from one forced pass or from generated answers.

A forced pass sees the right answer's letters before each token it predicts. An answer that is right in all
places is then the one that greedy generation gives, so string accuracy is the same in both; letter accuracy
is not, since a generated answer goes on from its own errors.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import GenerationMixin, PreTrainedModel

from dataset_builders import InputError
from dataset_builders.strings import Definition
from synthetic_training.data.strings import Rows, evaluation_rows, prompts_left_padded
from synthetic_training.data.strings.packing import longest_example, targets_of
from synthetic_training.data.tokens import END, END_ID, PAD_ID, encode

Answer = Callable[[PreTrainedModel, Rows], Tensor]
"""Gives a model's answers to rows, (count, tokens of the longest answer and its full stop)."""


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
        string_accuracy: share of examples of which every letter of the answer is right.
        letter_accuracy: share of an answer's letters that are right.
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
    definitions: Sequence[Definition],
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
        definitions: the task at each length.
        examples: of each length, at least 2.
        seed: of the examples; they are none of a training run's.
        batch_tokens: about as many tokens are read at once.
        bf16: whether to compute in bfloat16.
        share: this process.
    """
    first, end = (examples * i // share.processes for i in (share.process, share.process + 1))
    scores = []
    for definition in definitions:
        batch = max(1, batch_tokens // longest_example(definition))
        batches = fresh_rows(definition, range(first, end), batch, seed, model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            scores.append(length_score(model, definition.max_length, batches, forced_answers, share))
    return scores


def fresh_rows(
    definition: Definition, numbers: range, batch: int, seed: int, device: torch.device
) -> Iterator[Rows]:
    """The examples of these numbers, ``batch`` at a time."""
    for first in numbers[::batch]:
        yield evaluation_rows(definition, min(batch, numbers.stop - first), seed, device, first=first)


def document_rows(documents: Sequence[tuple[str, str]], device: torch.device) -> Rows:
    """Rows of prompts and their answers as text, such as ``$ab|`` and ``ab``.

    Raises:
        InputError: a character that is none of the symbols.
    """
    ids = [(encode(prompt), encode(answer + END)) for prompt, answer in documents]
    return answer_rows(ids, PAD_ID, device)


def answer_rows(documents: Sequence[tuple[list[int], list[int]]], pad: int, device: torch.device) -> Rows:
    """Rows of prompts and their answers as token ids; the last token of an answer ends it.

    Args:
        documents: at least one.
        pad: what follows the shorter ones.
        device: where the rows are made.
    """
    ids = [torch.tensor([*prompt, *answer]) for prompt, answer in documents]
    tokens = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=pad).to(device)
    prompt_length = torch.tensor([len(prompt) for prompt, _ in documents], device=device)
    answer_length = torch.tensor([len(answer) - 1 for _, answer in documents], device=device)
    place = torch.arange(tokens.shape[1], device=device)
    after = place - prompt_length[:, None]
    asked = (after >= 0) & (after <= answer_length[:, None])
    targets = targets_of(tokens, asked)
    last = after + 1 == answer_length[:, None]
    none = torch.full_like(prompt_length, -1)
    return Rows(
        input_ids=tokens,
        attention_mask=(after <= answer_length[:, None]).long(),
        targets=targets,
        answer_letters=(targets >= 0) & ~last,
        prompt_length=prompt_length,
        answer_length=answer_length,
        key_at=none,
        again_at=none,
    )


@torch.no_grad()
def length_score(
    model: PreTrainedModel, length: int, batches: Iterator[Rows], answer: Answer, share: Share | None = None
) -> LengthScore:
    """Score a model's answers to all rows of one length.

    Raises:
        InputError: the model cannot read so many tokens.
    """
    sums = torch.zeros(7, dtype=torch.float64, device=model.device)
    for rows in batches:
        try:
            answers = answer(model, rows)
        except IndexError:
            width = rows.input_ids.shape[1]
            raise InputError(
                f"the model cannot read the {width} tokens of strings of {length} letters"
            ) from None
        each = _scores(answers, right_answers(rows), rows.answer_length)
        sums += torch.cat([each.new_tensor([len(each)]), each.sum(0), each.square().sum(0)])
    if share is not None and share.reduce is not None:
        share.reduce(sums)
    count, *rest = sums.tolist()
    (string, letter, exact), squares = (r / count for r in rest[:3]), [r / count for r in rest[3:]]
    errors = [_stderr(m, s, count) for m, s in zip((string, letter, exact), squares, strict=True)]
    return LengthScore(length, int(count), string, errors[0], letter, errors[1], exact, errors[2])


def forced_answers(model: PreTrainedModel, rows: Rows) -> Tensor:
    """The arg-max at each place of the right answer, in one pass."""
    logits = model(input_ids=rows.input_ids, attention_mask=rows.attention_mask, use_cache=False).logits
    return logits.argmax(-1).gather(1, _places(rows))


def generated_answers(model: PreTrainedModel, rows: Rows) -> Tensor:
    """What the model goes on with after the prompts, greedily, padded where it ends early."""
    assert isinstance(model, GenerationMixin)  # noqa: S101  as all causal models of transformers are
    prompts, mask = prompts_left_padded(rows)
    longest = _places(rows).shape[1]
    texts = model.generate(
        input_ids=prompts,
        attention_mask=mask,
        max_new_tokens=longest,
        do_sample=False,
        eos_token_id=END_ID,
        pad_token_id=PAD_ID,
    )
    new = texts[:, prompts.shape[1] :]
    return torch.nn.functional.pad(new, (0, longest - new.shape[1]), value=PAD_ID)


def right_answers(rows: Rows) -> Tensor:
    """(count, tokens of the longest answer and its full stop): the answers, then padding."""
    places = _places(rows)
    beyond = torch.arange(places.shape[1], device=places.device) > rows.answer_length[:, None]
    return rows.targets.gather(1, places).masked_fill(beyond, PAD_ID)


def _places(rows: Rows) -> Tensor:
    """Where each token of the answers, and the full stop after, is predicted; the last column beyond."""
    longest = int(rows.answer_length.max()) + 1
    places = rows.prompt_length[:, None] - 1 + torch.arange(longest, device=rows.input_ids.device)
    return places.clamp(max=rows.input_ids.shape[1] - 1)


def _scores(answers: Tensor, right: Tensor, lengths: Tensor) -> Tensor:
    """(count, 3): whether all letters are right, the share that is, and whether the full stop is too."""
    equal = answers == right
    place = torch.arange(equal.shape[1], device=equal.device)
    letters = (equal & (place < lengths[:, None])).sum(1).double() / lengths
    whole = (equal | (place > lengths[:, None])).all(1)
    return torch.stack([(letters == 1).double(), letters, whole.double()], dim=1)


def _stderr(mean: float, square: float, count: float) -> float:
    variance = max(0.0, square - mean * mean) * count / (count - 1)
    return float((variance / count) ** 0.5)
