"""Token ids of text, as encoded by lm-eval's models."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from lm_eval_tasks.token_cache import cached_ids, keep

_BATCH = 64
"""Number of texts tokenized together: enough to use all cores, few enough to fit in memory."""


def tokenizer_of(lm: Any) -> Any:
    """The model's tokenizer; None if it has none, or has not loaded it yet.

    lm-eval's ``dummy`` would download GPT-2's tokenizer from the Hub.
    """
    if isinstance(getattr(type(lm), "tokenizer", None), cached_property):
        return vars(lm).get("tokenizer")
    return getattr(lm, "tokenizer", None)


def counts_tokens(lm: Any) -> bool:
    """Whether ``lm.tok_encode`` returns token ids.

    lm-eval's API models without a tokenizer return the text itself, and so do all chat models.
    """
    if not hasattr(lm, "tok_encode"):
        return False
    ids = lm.tok_encode("a")
    return isinstance(ids, list) and all(isinstance(token, int) for token in ids)


def encode_all(lm: Any, texts: Sequence[str]) -> Iterator[list[int]]:
    """``lm.tok_encode(text)`` for each text, on all cores if it is a fast tokenizer."""
    tokenizer = tokenizer_of(lm)
    special = _special_tokens(lm, tokenizer, texts)
    if special is None:
        return (lm.tok_encode(text) for text in texts)
    return encode_batches(tokenizer, texts, special)


def encode_for_model(lm: Any, texts: Sequence[str]) -> Iterator[list[int]]:
    """Like ``encode_all``, but caches the ids for lm-eval, which encodes each text once more."""
    known = [cached_ids(lm, text) for text in texts]
    new = encode_all(lm, [text for text, ids in zip(texts, known, strict=True) if ids is None])
    for text, ids in zip(texts, known, strict=True):
        ids = next(new) if ids is None else ids
        keep(lm, text, ids)
        yield ids


def encode_batches(tokenizer: Any, texts: Sequence[str], special_tokens: bool) -> Iterator[list[int]]:
    """Token ids of each text from a tokenizer of transformers."""
    for start in range(0, len(texts), _BATCH):
        with _parallel_tokenizers():
            encoded = tokenizer(
                list(texts[start : start + _BATCH]),
                add_special_tokens=special_tokens,
                return_attention_mask=False,
                verbose=False,
            )
        yield from encoded["input_ids"]


def token_counts(lm: Any, texts: Sequence[str]) -> list[int]:
    """``len(lm.tok_encode(text))`` for each text."""
    return [len(ids) for ids in encode_all(lm, texts)]


def _special_tokens(lm: Any, tokenizer: Any, texts: Sequence[str]) -> bool | None:
    """The ``add_special_tokens`` for which a fast tokenizer returns lm-eval's ids; None if neither does."""
    if not texts or not getattr(tokenizer, "is_fast", False):
        return None
    prefix = getattr(lm, "prefix_token_id", None)
    if isinstance(prefix, int):
        begin = tokenizer.decode(prefix)
        if any(text.startswith(begin) for text in texts):
            return None  # lm-eval adds no special tokens to these
    wanted = lm.tok_encode(texts[0])
    for special in (False, True):
        if tokenizer(texts[0], add_special_tokens=special, verbose=False)["input_ids"] == wanted:
            return special
    return None


@contextmanager
def _parallel_tokenizers() -> Iterator[None]:
    """Let tokenizers use all cores, which lm-eval's command line disables."""
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
