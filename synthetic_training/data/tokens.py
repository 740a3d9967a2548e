"""The 30 symbols that the models read: letters, and the marks around them (arXiv 2402.01032, section 3).

A token is one symbol: letter number i of ``dataset_builders.strings`` is token i. An example of the copy
task and its tokens::

    $   a   b   |   a   b   .   *
    26  0   1   27  0   1   28  29
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dataset_builders import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

LETTERS = string.ascii_lowercase
START, BAR, END, PAD = "$", "|", ".", "*"
SYMBOLS = LETTERS + START + BAR + END + PAD
VOCAB_SIZE = len(SYMBOLS)
START_ID, BAR_ID, END_ID, PAD_ID = range(len(LETTERS), VOCAB_SIZE)

_IDS = {symbol: i for i, symbol in enumerate(SYMBOLS)}


def encode(text: str) -> list[int]:
    """Token ids of a text, one a symbol.

    Raises:
        InputError: a character that is none of the 30 symbols.
    """
    try:
        return [_IDS[symbol] for symbol in text]
    except KeyError as error:
        raise InputError(f"{error.args[0]!r} is none of the {VOCAB_SIZE} symbols {SYMBOLS}") from None


def decode(ids: Iterable[int]) -> str:
    """The text of token ids, one symbol each; tensors and arrays of one dimension will do too.

    Raises:
        InputError: a number that is no token id.
    """
    numbers = [int(i) for i in ids]
    for number in numbers:
        if not 0 <= number < VOCAB_SIZE:
            raise InputError(f"token ids are 0 to {VOCAB_SIZE - 1}, not {number}")
    return "".join(SYMBOLS[number] for number in numbers)


def symbol_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """The same map as a tokenizer of transformers, to be saved beside a model.

    It adds no tokens of its own and pads on the left. ``.`` ends a text, ``*`` pads. A character that is
    none of the symbols becomes ``*`` too: lm-eval tokenizes the line ends at which answers stop, and the
    spaces before them.

    Args:
        max_length: tokens of the longest text that the model is asked about, kept as
            ``model_max_length``. Recurrent models' configurations carry no length, and lm-eval would
            take 2,048.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(_IDS, unk_token=PAD))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        unk_token=PAD,
        padding_side="left",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
    )
