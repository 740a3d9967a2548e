"""The tokenizer of MQAR: numbers from 0, separated by spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataset_builders.mqar import BLANK
from synthetic_training.data.saved_tokenizer import saved_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


def number_tokenizer(vocabulary: int, max_length: int) -> PreTrainedTokenizerFast:
    """A transformers tokenizer that is saved with a model, in which number i is token i.

    It adds no special tokens and pads on the left, with token 0. Other words also become token 0.

    Args:
        vocabulary: number of different tokens.
        max_length: maximum length in tokens, recorded as ``model_max_length``.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers

    blank = str(BLANK)
    words = {str(number): number for number in range(vocabulary)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token=blank))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return saved_tokenizer(tokenizer, max_length, end=blank, pad=blank, unknown=blank)
