"""Finds the tokens that a forced request scores, and checks that they are exactly those of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval_tasks.tokens import encode_for_model


@dataclass(frozen=True)
class ScoredTokens:
    """The tokens of one forced request.

    Attributes:
        context: number of tokens before the scored tokens.
        answer: number of scored tokens.
        aligned: whether the scored tokens are the answer's and directly follow the prompt's. This is false
            if a token spans the end of the prompt and the start of the answer, if the tokenizer ends the
            prompt with an end-of-text token, and for encoder-decoder models, which encode prompt and answer
            separately.
    """

    context: int
    answer: int
    aligned: bool


def scored_tokens(lm: Any, requests: Sequence[Any]) -> list[ScoredTokens]:
    """The tokens that ``lm.loglikelihood`` scores in ``lm_eval.api.instance.Instance`` objects."""
    pairs = [split_request(*request.args) for request in requests]
    contexts = encode_for_model(lm, [context for context, _ in pairs])
    if is_encoder_decoder(lm):
        answers = [lm.tok_encode(answer, add_special_tokens=False) for _, answer in pairs]
        return [ScoredTokens(len(c), len(a), aligned=False) for c, a in zip(contexts, answers, strict=True)]
    wholes = encode_for_model(lm, [context + answer for context, answer in pairs])
    end = getattr(lm, "eot_token_id", None)
    return [
        ScoredTokens(len(c), len(w) - len(c), aligned=is_aligned(c, w, end))
        for c, w in zip(contexts, wholes, strict=True)
    ]


def is_aligned(context: Sequence[int], whole: Sequence[int], end: int | None) -> bool:
    """Whether prompt and answer, tokenized together, begin with the tokens of the prompt alone.

    It is false if the prompt's last token is the end-of-text token.

    Args:
        context: tokens of the prompt alone.
        whole: tokens of prompt and answer.
        end: the end-of-text token.
    """
    return list(whole[: len(context)]) == list(context) and (not context or context[-1] != end)


def is_encoder_decoder(lm: Any) -> bool:
    """Whether the prompt goes to an encoder and the answer to a decoder."""
    return getattr(lm, "backend", "causal") == "seq2seq"


def misaligned_warning(scored: Sequence[ScoredTokens], encoder_decoder: bool) -> str | None:
    """The warning about documents whose scored tokens are not the answer's; None if there are none."""
    wrong = sum(not one.aligned for one in scored)
    if not wrong:
        return None
    why = (
        "an encoder-decoder model encodes prompt and answer separately"
        if encoder_decoder
        else "the tokens of the prompt alone are not the first tokens of prompt plus answer, or the "
        "tokenizer inserts an end-of-text token between the two"
    )
    return (
        f"in {wrong} of {len(scored)} documents the scored tokens are not exactly those of the answer: "
        f"{why}; "
        "'misaligned' is their fraction, and such results cannot be submitted; the task without _forced "
        "is not affected, because only the prompt is tokenized for it"
    )


def split_request(prompt: str, answer: str) -> tuple[str, str]:
    """Move white space from the end of the prompt to the start of the answer, as lm-eval does."""
    context = prompt.rstrip()
    return context, prompt[len(context) :] + answer
