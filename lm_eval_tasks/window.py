"""Does a request fit the model's window, or will lm-eval cut it on the left?"""

from dataclasses import dataclass
from typing import Any

from dataset_builders import InputError


@dataclass(frozen=True)
class Size:
    """Tokens of one request.

    Attributes:
        needed: tokens that the window must hold: the prompt, and the answer or the room for it.
        answer: tokens of the answer that a forced request scores; 0 for a generated one.
    """

    needed: int
    answer: int


def window_of(lm: Any) -> int | None:
    """The model's window in tokens as lm-eval takes it (``max_length``), or None if it has none to tell."""
    window = getattr(lm, "max_length", None)
    return window if isinstance(window, int) and hasattr(lm, "tok_encode") else None


def size_of(lm: Any, request: Any) -> Size:
    """The size in tokens of an ``lm_eval.api.instance.Instance``, counted as lm-eval's models count it."""
    if request.request_type == "generate_until":
        prompt, options = request.args
        return Size(needed=len(lm.tok_encode(prompt)) + _new_tokens(lm, options), answer=0)
    prompt, answer = request.args
    prompt_ids, answer_ids = lm._encode_pair(prompt, answer)
    # The last token is scored but never read by lm-eval's Hugging Face models.
    unread = 1 if _is_hugging_face(lm) else 0
    return Size(needed=len(prompt_ids) + len(answer_ids) - unread, answer=len(answer_ids))


def _new_tokens(lm: Any, options: dict[str, Any]) -> int:
    from lm_eval.models.utils import normalize_gen_kwargs

    new_tokens = normalize_gen_kwargs(options, lm.max_gen_toks)["max_gen_toks"]
    if new_tokens >= lm.max_length:
        raise InputError(
            f"the model's window of {lm.max_length} tokens leaves no room for a prompt beside "
            f"{new_tokens} new tokens; pass max_length= in --model_args if the model can read more"
        )
    return new_tokens


def _is_hugging_face(lm: Any) -> bool:
    return any(parent.__module__ == "lm_eval.models.huggingface" for parent in type(lm).__mro__)
