"""Bytes as tokens: token i is byte i, and token 256 is end-of-text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synthetic_training.data.saved_tokenizer import saved_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

END = "<|endoftext|>"
END_ID = 256
VOCAB_SIZE = 257


def byte_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """The byte-level tokenizer that is saved with a model; decoding restores every text exactly.

    It adds no special tokens, and pads on the left with the end-of-text token. As with GPT-2's tokenizer, the
    text ``<|endoftext|>`` becomes this token; with ``split_special_tokens=True``, it becomes its bytes.

    Args:
        max_length: maximum length in tokens, recorded as ``model_max_length``. Configurations of recurrent
            models have no maximum length, and lm-eval would assume 2,048.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    tokenizer = Tokenizer(models.BPE(vocab={**_byte_symbols(), END: END_ID}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    return saved_tokenizer(tokenizer, max_length, end=END, pad=END, begin=END)


def _byte_symbols() -> dict[str, int]:
    """The character that ``ByteLevel`` uses for each byte, as in GPT-2: the byte itself if it is visible."""
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    hidden = [byte for byte in range(256) if byte not in visible]
    return {chr(byte): byte for byte in visible} | {chr(256 + i): byte for i, byte in enumerate(hidden)}
