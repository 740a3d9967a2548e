"""Caches token ids that are computed before the model runs, until lm-eval requests them.

lm-eval tokenizes each prompt of a forced request twice, one text at a time on one core, which takes longer
than a small model's forward pass. This module tokenizes all texts together, on all cores.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from lm_eval.api.model import CachingLM

_MOST_TOKENS = 2**28
"""Maximum number of tokens in the cache of one model (1 GiB)."""


class TokenCache:
    """Replaces a model's ``tok_encode``, and returns the same ids.

    Args:
        encode: the model's own method.
    """

    def __init__(self, encode: Any) -> None:
        self._encode = encode
        self._texts: dict[str, tuple[np.ndarray[Any, np.dtype[np.int32]], int]] = {}
        self._tokens = 0

    def keep(self, text: str, ids: Sequence[int]) -> None:
        """Cache the ids that the next call with this text returns, unless the cache is full."""
        if self._tokens + len(ids) > _MOST_TOKENS:
            return
        _, times = self._texts.get(text, (None, 0))
        self._texts[text] = (np.asarray(ids, dtype=np.int32), times + 1)
        self._tokens += 0 if times else len(ids)

    def discard(self, text: str) -> None:
        """Remove a text from the cache."""
        ids, _ = self._texts.pop(text, ((), 0))
        self._tokens -= len(ids)

    def ids(self, text: str) -> list[int] | None:
        """The cached ids of a text, which stay in the cache; None if there are none."""
        kept = self._texts.get(text)
        return None if kept is None else kept[0].tolist()

    def __call__(self, string: Any, *arguments: Any, **options: Any) -> Any:
        kept = None if arguments or options or not isinstance(string, str) else self._texts.pop(string, None)
        if kept is None:
            return self._encode(string, *arguments, **options)
        ids, times = kept
        if times > 1:
            self._texts[string] = (ids, times - 1)
        else:
            self._tokens -= len(ids)
        return ids.tolist()


def keep(lm: Any, text: str, ids: Sequence[int]) -> None:
    """Make ``lm.tok_encode(text)`` return these ids the next time it is called.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        text: the text.
        ids: the token ids that ``lm.tok_encode(text)`` would return.
    """
    lm = _without_cache(lm)
    kept = lm.tok_encode
    if not isinstance(kept, TokenCache):
        kept = lm.tok_encode = TokenCache(kept)
    kept.keep(text, ids)


def cached_ids(lm: Any, text: str) -> list[int] | None:
    """The cached ids of a text; None if there are none, or if lm-eval has already requested them."""
    kept = _without_cache(lm).tok_encode
    return kept.ids(text) if isinstance(kept, TokenCache) else None


def discard(lm: Any, text: str) -> None:
    """Remove the cached ids of a text that lm-eval will not request."""
    kept = getattr(_without_cache(lm), "tok_encode", None)
    if isinstance(kept, TokenCache):
        kept.discard(text)


def _without_cache(lm: Any) -> Any:
    return lm.lm if isinstance(lm, CachingLM) else lm
