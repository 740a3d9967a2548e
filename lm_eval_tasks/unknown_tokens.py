"""Documents that a tokenizer cannot spell: some of their characters are unknown to it.

A model that was trained on a small vocabulary of its own sees such a document with holes, so its score
says nothing about the model's memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from lm_eval_tasks.tokens import encode_batches, tokenizer_of


@dataclass(frozen=True)
class Unknown:
    """Characters of one document, prompt and answers, that its tokens do not hold.

    Attributes:
        unknown: characters that the tokenizer does not know.
        characters: all characters.
    """

    unknown: int
    characters: int


def unknown_characters(lm: Any, documents: Sequence[Mapping[str, Any]]) -> list[Unknown] | None:
    """For each document, what the model's tokenizer cannot spell; None where that cannot be known.

    It is known for the tokenizers of transformers and tokenizers.
    """
    tokenizer = tokenizer_of(lm)
    if not hasattr(tokenizer, "unk_token_id") or not callable(tokenizer):
        return None
    texts = [_texts(document) for document in documents]
    dropped = _dropped_characters(tokenizer, set(chain.from_iterable(chain.from_iterable(texts))))
    ids = encode_batches(tokenizer, list(chain.from_iterable(texts)), special_tokens=False)
    return [
        Unknown(
            sum(_unknown(tokenizer, text, next(ids)) + sum(map(text.count, dropped)) for text in of_one),
            sum(map(len, of_one)),
        )
        for of_one in texts
    ]


def unknown_warning(found: Sequence[Unknown]) -> str | None:
    """What to say of documents with unknown characters; None if there are none."""
    documents = sum(one.unknown > 0 for one in found)
    if not documents:
        return None
    share = sum(one.unknown for one in found) / sum(one.characters for one in found)
    return (
        f"the model's tokenizer does not know {share:.0%} of the characters of these documents; "
        f"{documents} of {len(found)} hold such characters, and 'unknown_tokens' says how many; the score "
        "says nothing about what the model can recall"
    )


def _texts(document: Mapping[str, Any]) -> list[str]:
    """The prompt and, under either of their names, the answers."""
    answers = document.get("answers", [document[key] for key in ("answer",) if key in document])
    return [document["prompt"], *answers]


def _dropped_characters(tokenizer: Any, alphabet: set[str]) -> list[str]:
    """Characters that leave no token at all, as those outside a vocabulary without an unknown token."""
    visible = [character for character in sorted(alphabet) if not character.isspace()]
    ids = encode_batches(tokenizer, visible, special_tokens=False)
    return [character for character, tokens in zip(visible, ids, strict=True) if not tokens]


def _unknown(tokenizer: Any, text: str, ids: list[int]) -> int:
    """Characters of the text that became the unknown token, which a text may also hold as itself."""
    if tokenizer.unk_token_id is None:
        return 0
    unknown = ids.count(tokenizer.unk_token_id) - text.count(tokenizer.unk_token)
    if unknown <= 0 or not getattr(tokenizer, "is_fast", False):
        return max(unknown, 0)
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    spans = (
        text[start:end]
        for token, (start, end) in zip(encoded["input_ids"], encoded["offset_mapping"], strict=True)
        if token == tokenizer.unk_token_id
    )
    return sum(len(span) for span in spans if span != tokenizer.unk_token)
