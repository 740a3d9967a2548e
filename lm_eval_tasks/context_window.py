"""Do requests fit the model's window, or will lm-eval cut them on the left?"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

NEW_TOKENS = frozenset({"max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"})
"""What ``--gen_kwargs`` may call the number of tokens to generate."""


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
    """The model's window in tokens as lm-eval takes it (``max_length``), or None if it tells none."""
    window = getattr(lm, "max_length", None)
    return window if isinstance(window, int) and hasattr(lm, "tok_encode") else None


def sizes_of(lm: Any, requests: Sequence[Any]) -> list[Size]:
    """The sizes of ``lm_eval.api.instance.Instance`` objects of one kind, as lm-eval's models count them."""
    if requests[0].request_type == "generate_until":
        from lm_eval.models.utils import normalize_gen_kwargs

        new = normalize_gen_kwargs(requests[0].args[1], lm.max_gen_toks)["max_gen_toks"]
        counts = token_counts(lm, [request.args[0] for request in requests])
        return [Size(needed=count + new, answer=0) for count in counts]
    prompts = [request.args[0] for request in requests]
    # as lm-eval does, white space at the prompt's end is scored with the answer
    before = token_counts(lm, [prompt.rstrip() for prompt in prompts])
    whole = token_counts(
        lm, [prompt + request.args[1] for prompt, request in zip(prompts, requests, strict=True)]
    )
    # lm-eval's Hugging Face models score the last token, but need not read it
    unread = 1 if _is_hugging_face(lm) else 0
    return [Size(needed=w - unread, answer=w - b) for w, b in zip(whole, before, strict=True)]


def ask_little(request: Any) -> None:
    """Cut down a request that does not fit, and so cannot count, to what any window holds.

    lm-eval stops the whole run where an answer alone is longer than the window.
    """
    if request.request_type == "generate_until":
        prompt, options = request.args
        others = {key: value for key, value in options.items() if key not in NEW_TOKENS}
        request.arguments = (prompt, {**others, "max_gen_toks": 1})
    else:
        prompt, answer = request.args
        request.arguments = (prompt, answer[:4])


def _is_hugging_face(lm: Any) -> bool:
    return any(parent.__module__ == "lm_eval.models.huggingface" for parent in type(lm).__mro__)


def token_counts(lm: Any, texts: list[str]) -> list[int]:
    """``len(lm.tok_encode(text))`` for each text, on all cores where the tokenizer is a fast one."""
    tokenizer: Any = getattr(lm, "tokenizer", None)
    if not getattr(tokenizer, "is_fast", False):
        return [len(lm.tok_encode(text)) for text in texts]
    with _parallel_tokenizers():
        encoded = tokenizer(texts, add_special_tokens=False, return_attention_mask=False, verbose=False)
    counts = [len(ids) for ids in encoded["input_ids"]]
    special = len(lm.tok_encode(texts[0])) - counts[0]
    return [count + special for count in counts]


@contextmanager
def _parallel_tokenizers() -> Iterator[None]:
    """Let tokenizers use all cores, which lm-eval's command line turns off."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "true"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
