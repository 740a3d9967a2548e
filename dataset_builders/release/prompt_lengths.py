"""Prompt lengths of a config in characters and tokens."""

from collections.abc import Sequence
from statistics import median_low

from dataset_builders.release.manifest import LengthSummary
from dataset_builders.sources.tokenizer import TextTokenizer

_BATCH_CHARACTERS = 1_000_000  # characters tokenized together: enough to use all cores, but little memory


class PromptLengths:
    """Collects prompt lengths one by one; tokens are counted if there is a tokenizer."""

    def __init__(self, tokenizer: TextTokenizer | None) -> None:
        self._tokenizer = tokenizer
        self._characters: list[int] = []
        self._tokens: list[int] = []
        self._batch: list[str] = []
        self._batch_characters = 0

    def __len__(self) -> int:
        return len(self._characters)

    def add(self, prompt: str) -> None:
        self._characters.append(len(prompt))
        if self._tokenizer is not None:
            self._batch.append(prompt)
            self._batch_characters += len(prompt)
            if self._batch_characters >= _BATCH_CHARACTERS:
                self._count(self._tokenizer)

    @property
    def characters(self) -> LengthSummary:
        return _lengths(self._characters)

    @property
    def tokens(self) -> LengthSummary | None:
        if self._tokenizer is None:
            return None
        self._count(self._tokenizer)
        return _lengths(self._tokens)

    def _count(self, tokenizer: TextTokenizer) -> None:
        self._tokens += map(len, tokenizer.encode_batch(self._batch))
        self._batch.clear()
        self._batch_characters = 0


def _lengths(values: Sequence[int]) -> LengthSummary:
    return LengthSummary(min(values), median_low(values), max(values))
