"""The ending of forced answers: a newline or another mark, or the end-of-text token."""

from typing import Any

from lm_eval_tasks.tokens import tokenizer_of


def end_of_text(lm: Any, text: str) -> str | None:
    """The end-of-text token as text; None if the model's tokenizer does not recognise it after ``text``.

    Args:
        lm: a model of lm-eval, or an object with its ``tokenizer``, ``tok_encode`` and ``eot_token_id``.
    """
    end = getattr(tokenizer_of(lm), "eos_token", None)
    if not isinstance(end, str):
        return None
    return end if lm.tok_encode(f"{text}{end}") == [*lm.tok_encode(text), lm.eot_token_id] else None


def without_ending(target: str, answer: str | None) -> str | None:
    """A forced target without the ending after the answer; None if there is no ending."""
    if not answer:
        return None
    before, found, ending = target.rpartition(answer)
    return target.removesuffix(ending) if found and ending and not before.strip() else None
