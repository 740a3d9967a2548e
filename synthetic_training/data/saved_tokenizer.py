"""The transformers tokenizer that is saved with a model, for any kind of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast


def saved_tokenizer(
    tokenizer: Tokenizer,
    max_length: int,
    *,
    end: str,
    pad: str,
    unknown: str | None = None,
    begin: str | None = None,
) -> PreTrainedTokenizerFast:
    """A transformers tokenizer that adds no special tokens and pads on the left.

    Args:
        tokenizer: tokenizer that turns a text into tokens.
        max_length: maximum length in tokens, recorded as ``model_max_length``. Configurations of recurrent
            models have no maximum length, and lm-eval would assume 2,048.
        end: token that ends a text.
        pad: padding token.
        unknown: token that stands for unknown words or characters, if there is one.
        begin: token that begins a text, if there is one.
    """
    from transformers import PreTrainedTokenizerFast

    special = {"bos_token": begin, "eos_token": end, "pad_token": pad, "unk_token": unknown}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        padding_side="left",
        model_max_length=max_length,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],  # transformers 4 would add token_type_ids
        **{name: token for name, token in special.items() if token is not None},
    )
