"""Caches token ids from before the model runs, until lm-eval requests them.

lm-eval tokenizes each prompt of a forced request twice, one text at a time on one core, which takes longer
than a small model's forward pass. This module tokenizes all texts together, on all cores.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from lm_eval.api.model import CachingLM

_MOST_TOKENS = 2**28
"""Maximum number of tokens kept for one model at a time (1 GiB)."""


class KeptTokens:
    """Replaces a model's ``tok_encode`` and returns the same ids.

    Args:
        encode: the model's own method.
    """

    def __init__(self, encode: Any) -> None:
        self._encode = encode
        self._texts: dict[str, tuple[np.ndarray[Any, np.dtype[np.int32]], int]] = {}
        self._tokens = 0

    def keep(self, text: str, ids: Sequence[int]) -> None:
        """Keep the ids that the next call with this text returns, unless too many are kept."""
        if self._tokens + len(ids) > _MOST_TOKENS:
            return
        _, times = self._texts.get(text, (None, 0))
        self._texts[text] = (np.asarray(ids, dtype=np.int32), times + 1)
        self._tokens += 0 if times else len(ids)

    def discard(self, text: str) -> None:
        """Forget a text."""
        ids, _ = self._texts.pop(text, ((), 0))
        self._tokens -= len(ids)

    def ids(self, text: str) -> list[int] | None:
        """The ids that are kept for a text, which stay kept; None if there are none."""
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
    if not isinstance(kept, KeptTokens):
        kept = lm.tok_encode = KeptTokens(kept)
    kept.keep(text, ids)


def kept_ids(lm: Any, text: str) -> list[int] | None:
    """The ids kept for a text; None if there are none, or if lm-eval has already requested them."""
    kept = _without_cache(lm).tok_encode
    return kept.ids(text) if isinstance(kept, KeptTokens) else None


def discard(lm: Any, text: str) -> None:
    """Discard the ids of a text that lm-eval will not request."""
    kept = getattr(_without_cache(lm), "tok_encode", None)
    if isinstance(kept, KeptTokens):
        kept.discard(text)


def _without_cache(lm: Any) -> Any:
    return lm.lm if isinstance(lm, CachingLM) else lm
