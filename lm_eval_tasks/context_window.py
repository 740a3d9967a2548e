"""Checks whether requests fit the model's context window; lm-eval would truncate longer ones on the left."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval_tasks.alignment import ScoredTokens, is_encoder_decoder, split_request
from lm_eval_tasks.local_model import is_hugging_face
from lm_eval_tasks.token_cache import discard
from lm_eval_tasks.tokens import counts_tokens, encode_for_model

NOT_RUN = "not run: the document does not fit the model's context window"
"""Response of documents that were not run, in the logged samples."""

WINDOW_SETTINGS = ("n_positions", "max_position_embeddings", "n_ctx")
"""Names of the window's size in the configurations of models, in lm-eval's order."""

_GENERATE_ONE = {"lm_eval.models.vllm_causallms", "lm_eval.models.nemo_lm"}
"""Modules of lm-eval's models whose window must also hold one token that is generated after the answer."""

_FEW = 4
"""Number of characters that are kept of a prompt's end and of an answer's start: a token or more of each."""


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
            f"{cut} of {len(self.needed)} prompts do not fit the model's context window of {self.tokens} "
            "tokens with their answers; they are not run and count as wrong, and 'truncated' is their "
            "fraction; if the model has a larger window, pass max_length= in --model_args."
        )


def window_tokens(lm: Any) -> int | None:
    """The model's context window in tokens, or None if lm-eval does not know it or cannot count tokens."""
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
    extra = 0
    if is_hugging_face(lm):
        extra = -1  # the last token is scored, but not read
    elif any(parent.__module__ in _GENERATE_ONE for parent in type(lm).__mro__):
        extra = 1
    return [one.context + one.answer + extra for one in scored]


def leave_out(lm: Any, requests: Sequence[Any]) -> None:
    """Make lm-eval skip requests that do not fit; results and logged samples then contain ``NOT_RUN``.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        requests: ``lm_eval.api.instance.Instance`` objects; lm-eval runs each ``repeats`` times.
    """
    for request in requests:
        prompt = request.args[0]
        request.repeats = 0
        if request.request_type == "generate_until":
            request.resps = [NOT_RUN]
            discard(lm, prompt)
        else:
            request.resps = [(NOT_RUN, False)]
            context, answer = split_request(*request.args)
            discard(lm, context)
            discard(lm, context + answer)


def run_shortest(request: Any) -> None:
    """Make lm-eval run a few characters of a request that was left out; the result is ignored.

    They are the end of the prompt and the start of the answer.

    Some of lm-eval's backends fail if they receive no requests.
    """
    prompt, last = request.args
    shortest = {**last, "max_gen_toks": 1} if request.request_type == "generate_until" else last[:_FEW]
    request.repeats = 1
    request.arguments = (prompt[-_FEW:], shortest)
