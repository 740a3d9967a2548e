"""The tokenizer of the string tasks, and the ids of their 30 usual symbols.

See ``dataset_builders.string_tasks.symbols``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from dataset_builders.string_tasks.symbols import END, MARKS, PAD, START, Symbols
from synthetic_training.data.saved_tokenizer import saved_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

USUAL = Symbols(26)
"""The 30 symbols of vocabularies of up to 26 letters."""

SYMBOLS = "".join(USUAL.ids)
VOCAB_SIZE = USUAL.size
START_ID, BAR_ID, END_ID, PAD_ID = (USUAL.ids[mark] for mark in MARKS)


def encode(text: str) -> list[int]:
    """Token ids of a text in the usual symbols; see ``Symbols.encode``."""
    return USUAL.encode(text)


def decode(ids: Iterable[int]) -> str:
    """The text of token ids of the usual symbols; see ``Symbols.decode``."""
    return USUAL.decode(ids)


def model_tokens(symbols: Symbols) -> Mapping[str, int]:
    """The vocabulary size and special tokens as arguments of a model's configuration."""
    return {
        "vocab_size": symbols.size,
        "bos_token_id": symbols.ids[START],
        "eos_token_id": symbols.ids[END],
        "pad_token_id": symbols.ids[PAD],
    }


def symbol_tokenizer(max_length: int, symbols: Symbols = USUAL) -> PreTrainedTokenizerFast:
    """The transformers tokenizer that is saved with a model; its ids are those of ``Symbols.encode``.

    It adds no special tokens and pads on the left. ``.`` ends a text, ``*`` pads. Other characters also
    become ``*``: lm-eval tokenizes the newlines at which answers stop, and the spaces before them.

    Args:
        max_length: maximum length in tokens, recorded as ``model_max_length``. Configurations of recurrent
            models have no maximum length, and lm-eval would assume 2,048.
        symbols: the symbols; with up to 26 letters, each character is a token, and otherwise, tokens are
            numbers separated by spaces.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(symbols.ids, unk_token=PAD))
    if symbols.are_characters:
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return saved_tokenizer(tokenizer, max_length, end=END, pad=PAD, unknown=PAD)
