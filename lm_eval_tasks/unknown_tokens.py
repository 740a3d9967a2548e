"""Detects documents with characters that the model's tokenizer does not know.

A model with a small vocabulary sees gaps in such documents, so their scores say nothing about its memory.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from dataset_builders import InputError
from lm_eval_tasks.tokens import counts_tokens, encode_batches, tokenizer_of


@dataclass(frozen=True)
class UnknownCharacters:
    """Characters of one document, prompt and answers, that the tokenizer cannot encode.

    Attributes:
        unknown: number of characters that the tokenizer does not know.
        characters: number of all characters.
    """

    unknown: int
    characters: int


def check_tokenizer(lm: Any, documents: Sequence[Mapping[str, Any]]) -> None:
    """Check that the model's tokenizer returns tokens for a prompt, if tokens can be counted.

    For a folder without a tokenizer, transformers creates an empty one.

    Raises:
        InputError: the tokenizer returns no tokens.
    """
    if documents and counts_tokens(lm) and not lm.tok_encode(documents[0]["prompt"]):
        raise InputError(
            "the model's tokenizer returns no tokens for the prompt, perhaps because the model's folder "
            "contains no tokenizer; save it there, or pass tokenizer=FOLDER in --model_args"
        )


def unknown_characters(lm: Any, documents: Sequence[Mapping[str, Any]]) -> list[UnknownCharacters] | None:
    """The characters of each document that the model's tokenizer cannot encode; None if unknown.

    They are known for the tokenizers of transformers.
    """
    tokenizer = tokenizer_of(lm)
    if not hasattr(tokenizer, "unk_token_id") or not callable(tokenizer):
        return None
    texts = [_texts(document) for document in documents]
    dropped = _dropped_characters(tokenizer, set(chain.from_iterable(chain.from_iterable(texts))))
    if not dropped and tokenizer.unk_token_id is None:
        return [UnknownCharacters(0, sum(map(len, of_one))) for of_one in texts]
    ids = encode_batches(tokenizer, list(chain.from_iterable(texts)), special_tokens=False)
    return [
        UnknownCharacters(
            sum(_unknown(tokenizer, text, next(ids)) + sum(map(text.count, dropped)) for text in of_one),
            sum(map(len, of_one)),
        )
        for of_one in texts
    ]


def unknown_warning(found: Sequence[UnknownCharacters]) -> str | None:
    """The warning about documents with unknown characters; None if there are none."""
    documents = sum(one.unknown > 0 for one in found)
    if not documents:
        return None
    share = sum(one.unknown for one in found) / sum(one.characters for one in found)
    return (
        f"the model's tokenizer does not know {share:.0%} of the characters of these documents; "
        f"{documents} of {len(found)} have such characters, and 'unknown_tokens' is their fraction; the "
        "score says nothing about what the model can recall"
    )


def _texts(document: Mapping[str, Any]) -> list[str]:
    """The prompt and the answers."""
    answers = document.get("answers", [document[key] for key in ("answer",) if key in document])
    return [document["prompt"], *answers]


def _dropped_characters(tokenizer: Any, alphabet: set[str]) -> list[str]:
    """Characters that produce no token, such as those outside a vocabulary without an unknown token."""
    visible = [character for character in sorted(alphabet) if not character.isspace()]
    ids = encode_batches(tokenizer, visible, special_tokens=False)
    return [character for character, tokens in zip(visible, ids, strict=True) if not tokens]


def _unknown(tokenizer: Any, text: str, ids: list[int]) -> int:
    """Number of characters that became the unknown token, except where the text contains the token's name.

    The name may also occur within other words, or be the tokenizer's normal form of another spelling.
    """
    count = 0 if tokenizer.unk_token_id is None else ids.count(tokenizer.unk_token_id)
    if not count or not getattr(tokenizer, "is_fast", False):
        return max(count - text.count(tokenizer.unk_token), 0) if count else 0
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    spans = Counter(
        text[start:end]
        for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if token == tokenizer.unk_token_id
    )
    normalizer = tokenizer.backend_tokenizer.normalizer
    return sum(
        len(span) * times
        for span, times in spans.items()
        if tokenizer.unk_token not in (span, normalizer.normalize_str(span) if normalizer else span)
    )
