"""Keeps tokenizers from removing spaces from generated answers, such as the one in "the cat ,".

With ``clean_up_tokenization_spaces``, as in the files of Llama 3, a tokenizer of transformers removes spaces
before punctuation marks when it decodes. A correct copy of a text with such spaces would count as wrong.
Newer versions of transformers, such as 5.23, ignore the setting for most tokenizers.
"""

from collections.abc import Iterable
from typing import Any

from lm_eval_tasks.local_model import is_hugging_face
from lm_eval_tasks.tokens import tokenizer_of

_SETTING = "clean_up_tokenization_spaces"


def keep_spaces(lm: Any, answers: Iterable[str]) -> str | None:
    """Switch the setting off if it would change one of these answers.

    Returns:
        The warning about it; None if nothing was changed.
    """
    tokenizer: Any = tokenizer_of(lm) if is_hugging_face(lm) else None
    if not getattr(tokenizer, _SETTING, False):
        return None
    ids = [tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in answers]
    if all(tokenizer.decode(one) == tokenizer.decode(one, **{_SETTING: False}) for one in ids):
        return None
    tokenizer.clean_up_tokenization_spaces = False
    return (
        "the model's tokenizer would remove spaces before punctuation marks from its answers, so that "
        "correct copies would count as wrong; clean_up_tokenization_spaces is switched off for all tasks of "
        "this run"
    )
