"""Whether requests fit the model's context window, beyond which lm-eval truncates them on the left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval_tasks.alignment import ScoredTokens, is_encoder_decoder
from lm_eval_tasks.local_model import is_hugging_face
from lm_eval_tasks.tokens import counts_tokens, encode_for_model


@dataclass(frozen=True)
class ContextWindow:
    """The model's context window and the documents of a run.

    Attributes:
        tokens: size of the window in tokens, as assumed by lm-eval (``max_length``).
        needed: number of tokens that each document needs, by id: the prompt, plus the answer or the maximum
            number of new tokens.
    """

    tokens: int
    needed: dict[str, int]

    def truncates(self, document_id: str) -> bool:
        """Whether a document does not fit."""
        return self.needed[document_id] > self.tokens

    @property
    def warning(self) -> str | None:
        """The warning about documents that do not fit; None if all do."""
        cut = sum(map(self.truncates, self.needed))
        if not cut:
            return None
        return (
            f"{cut} of {len(self.needed)} prompts do not fit the model's window of {self.tokens} tokens with "
            "their answers; they count as wrong, and 'truncated' is their fraction; if the model has a "
            "larger window, pass max_length= in --model_args."
        )


def window_tokens(lm: Any) -> int | None:
    """The model's window in tokens, or None if lm-eval does not know it or cannot count tokens."""
    window = getattr(lm, "max_length", None)
    return window if isinstance(window, int) and counts_tokens(lm) else None


def generated_needs(lm: Any, requests: Sequence[Any]) -> list[int]:
    """The number of tokens that each generated request needs; all requests set ``max_gen_toks``.

    An encoder-decoder model generates its answer in a separate window.
    """
    counts = [len(ids) for ids in encode_for_model(lm, [request.args[0] for request in requests])]
    if is_encoder_decoder(lm):
        return counts
    return [count + request.args[1]["max_gen_toks"] for count, request in zip(counts, requests, strict=True)]


def forced_needs(lm: Any, scored: Sequence[ScoredTokens]) -> list[int]:
    """The number of tokens that each forced request needs."""
    if is_encoder_decoder(lm):
        return [max(one.context, one.answer) for one in scored]
    # lm-eval's Hugging Face models score the last token without reading it
    unread = 1 if is_hugging_face(lm) else 0
    return [one.context + one.answer - unread for one in scored]


def shrink_request(request: Any) -> None:
    """Shrink a request that does not fit, so that it fits any window; its score is 0 anyway.

    If the answer alone were longer than the window, lm-eval would stop the whole run.
    """
    if request.request_type == "generate_until":
        prompt, options = request.args
        request.arguments = (prompt, {**options, "max_gen_toks": 1})
    else:
        prompt, answer = request.args
        request.arguments = (prompt, answer[:4])
