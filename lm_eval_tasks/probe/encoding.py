"""The documents of a probe as token ids, split into prompt and answer as lm-eval splits them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dataset_builders import InputError
from lm_eval_tasks.alignment import is_aligned, split_request
from lm_eval_tasks.answer_ending import end_of_text, without_ending
from lm_eval_tasks.probe.documents import ProbeTask
from lm_eval_tasks.tokens import encode_all
from lm_eval_tasks.unknown_tokens import unknown_characters


@dataclass(frozen=True)
class Candidate:
    """A prompt with one spelling of its answer.

    Attributes:
        tokens: tokens of prompt and answer.
        start: index of the answer's first token, at least 1.
    """

    tokens: tuple[int, ...]
    start: int


@dataclass(frozen=True)
class EncodedDocument:
    """A document as token ids of one tokenizer.

    Attributes:
        candidates: the answer with its own ending and, if the tokenizer knows it, with end-of-text; the
            document counts as correct if either is.
        aligned: whether the scored tokens are exactly those of the answer.
        unknown: whether the document contains characters that the tokenizer does not know.
    """

    candidates: tuple[Candidate, ...]
    aligned: bool
    unknown: bool

    @property
    def needed(self) -> int:
        """Number of tokens that the model reads; the last token of an answer is scored without being read."""
        return len(self.candidates[0].tokens) - 1


def tokenizer_in(given: Any) -> Any:
    """The tokenizer of transformers, which may be inside a processor.

    Raises:
        InputError: there is none.
    """
    for one in (given, getattr(given, "tokenizer", None)):
        if hasattr(one, "encode") and hasattr(one, "eos_token_id"):
            return one
    raise InputError(f"tokenizer must be a tokenizer of transformers, not {type(given).__name__}")


class _TokenizerAsModel:
    """Passes a tokenizer to functions of this package that take a model of lm-eval."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.eot_token_id = tokenizer.eos_token_id

    def tok_encode(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer.encode(text)
        return ids


def encode_task(tokenizer: Any, task: ProbeTask) -> list[EncodedDocument]:
    """The documents of a task for a tokenizer of transformers.

    Raises:
        InputError: the tokenizer returns no tokens for a prompt, or knows no character of any document.
    """
    lm = _TokenizerAsModel(tokenizer)
    prompts = [row["prompt"] for row in task.rows]
    first = _candidates(lm, prompts, task.targets)
    end = end_of_text(lm, prompts[0] + task.targets[0])
    others: dict[int, Candidate] = {}
    if end is not None:
        targets = zip(task.targets, task.rows, strict=True)
        answers = [without_ending(target, row.get("answer")) for target, row in targets]
        chosen = {i: f"{answer}{end}" for i, answer in enumerate(answers) if answer is not None}
        found = _candidates(lm, [prompts[i] for i in chosen], list(chosen.values()))
        others = {i: candidate for i, (candidate, _) in zip(chosen, found, strict=True)}
    unknown = unknown_characters(lm, task.rows) or []
    if unknown and all(one.unknown >= one.characters for one in unknown):
        raise InputError(f"{task.name}: the tokenizer knows no character of the documents")
    return [
        EncodedDocument(
            (candidate, *([others[i]] if i in others else [])),
            aligned,
            bool(unknown) and unknown[i].unknown > 0,
        )
        for i, (candidate, aligned) in enumerate(first)
    ]


def _candidates(
    lm: _TokenizerAsModel, prompts: Sequence[str], targets: Sequence[str]
) -> list[tuple[Candidate, bool]]:
    """Each prompt with its target, and whether the scored tokens are exactly those of the target."""
    pairs = [split_request(prompt, target) for prompt, target in zip(prompts, targets, strict=True)]
    contexts = encode_all(lm, [context for context, _ in pairs])
    wholes = encode_all(lm, [context + target for context, target in pairs])
    found = []
    for context, whole in zip(contexts, wholes, strict=True):
        if not context or len(whole) <= len(context):
            raise InputError("the tokenizer returns no tokens for a prompt or an answer of the probe")
        # as in lm-eval, which skips the prompt's number of tokens in prompt plus answer, even if they differ
        tokens = (*context, *whole[len(context) :])
        found.append((Candidate(tokens, len(context)), is_aligned(context, whole, lm.eot_token_id)))
    return found
