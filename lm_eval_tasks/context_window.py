"""Do requests fit the model's window, or will lm-eval cut them on the left?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lm_eval_tasks.alignment import Scored, is_encoder_decoder
from lm_eval_tasks.tokens import counts_tokens, token_counts


@dataclass(frozen=True)
class Window:
    """The model's window, held against the documents of a run.

    Attributes:
        tokens: tokens that the model can hold, as lm-eval takes it (``max_length``).
        needed: by the document's id, tokens that the window must hold: the prompt, and the answer or the
            room for it.
    """

    tokens: int
    needed: dict[str, int]

    def truncates(self, document_id: str) -> bool:
        """Whether a document does not fit."""
        return self.needed[document_id] > self.tokens

    @property
    def warning(self) -> str | None:
        """What to say of the documents that do not fit; None if all do."""
        cut = sum(map(self.truncates, self.needed))
        if not cut:
            return None
        return (
            f"{cut} of {len(self.needed)} prompts do not fit the model's window of {self.tokens} tokens with "
            "their answers; they count as wrong, and 'truncated' says how many; pass max_length= in "
            "--model_args if the model can read more."
        )


def window_tokens(lm: Any) -> int | None:
    """The model's window in tokens, or None where lm-eval does not know it or cannot count tokens."""
    window = getattr(lm, "max_length", None)
    return window if isinstance(window, int) and counts_tokens(lm) else None


def generated_needs(lm: Any, requests: Sequence[Any]) -> list[int]:
    """Tokens that the window must hold for each generated request; all say ``max_gen_toks``.

    An encoder-decoder model writes its answer into another window than the one it reads.
    """
    counts = token_counts(lm, [request.args[0] for request in requests])
    if is_encoder_decoder(lm):
        return counts
    return [count + request.args[1]["max_gen_toks"] for count, request in zip(counts, requests, strict=True)]


def forced_needs(lm: Any, scored: Sequence[Scored]) -> list[int]:
    """Tokens that the window must hold for each forced request."""
    if is_encoder_decoder(lm):
        return [max(one.context, one.answer) for one in scored]
    # lm-eval's Hugging Face models score the last token, but need not read it
    unread = 1 if _is_hugging_face(lm) else 0
    return [one.context + one.answer - unread for one in scored]


def shrink_request(request: Any) -> None:
    """Cut down a request that does not fit, and so cannot count, to what any window holds.

    lm-eval stops the whole run where an answer alone is longer than the window.
    """
    if request.request_type == "generate_until":
        prompt, options = request.args
        request.arguments = (prompt, {**options, "max_gen_toks": 1})
    else:
        prompt, answer = request.args
        request.arguments = (prompt, answer[:4])


def _is_hugging_face(lm: Any) -> bool:
    return any(parent.__module__ == "lm_eval.models.huggingface" for parent in type(lm).__mro__)
