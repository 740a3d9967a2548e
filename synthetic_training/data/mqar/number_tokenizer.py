"""The tokenizer of MQAR: numbers from 0, separated by spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataset_builders.mqar import BLANK
from synthetic_training.data.saved_tokenizer import saved_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

BLANK_NAME = "<blank>"
"""The text of token 0. Special tokens are also found inside words, so "0" would be found in "10"."""


def number_tokenizer(vocabulary: int, max_length: int) -> PreTrainedTokenizerFast:
    """A transformers tokenizer that is saved with a model, in which number i is token i.

    It adds no special tokens, and pads on the left with token 0, which also ends a text. Token 0 is encoded
    from ``0`` or ``<blank>``, and decoded to ``<blank>``: lm-eval cuts answers at the text of the end token,
    and 0 occurs in other numbers. Words that are not numbers below ``vocabulary`` also become token 0.

    Args:
        vocabulary: number of different tokens.
        max_length: maximum length in tokens, recorded as ``model_max_length``.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    words = {BLANK_NAME if number == BLANK else str(number): number for number in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=BLANK_NAME))
    tokenizer.normalizer = normalizers.Replace(Regex(rf"(?<!\S){BLANK}(?!\S)"), BLANK_NAME)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return saved_tokenizer(tokenizer, max_length, end=BLANK_NAME, pad=BLANK_NAME, unknown=BLANK_NAME)
