"""The space before a forced answer, which chat models do not write after most chat templates."""

from typing import Any


def after_chat_template(prompt: Any, answer: str) -> tuple[Any, str]:
    """Leave out the space before a forced answer if the chat template ends in white space.

    The space is part of an answer that continues a line, such as ``Ada Lovelace:``. Most templates end with a
    newline, after which a model begins its answer without a space.
    """
    return (prompt, answer.lstrip(" ")) if _ends_in_white_space(prompt) else (prompt, answer)


def space_warning(prompt: Any) -> str | None:
    """A warning if the template does not end in white space, so that the space is scored; otherwise None."""
    if _ends_in_white_space(prompt):
        return None
    return (
        "the chat template does not end in white space, so the space before each answer is scored; if the "
        "model begins its answers without one, run the task without _forced instead"
    )


def _ends_in_white_space(prompt: Any) -> bool:
    return isinstance(prompt, str) and prompt != prompt.rstrip()
