"""Support for models that reason before they answer, in a block such as ``<think>...</think>``.

Tasks stop generation at the first newline, which such a model generates before it answers.
"""

from collections.abc import Sequence
from typing import Any

from lm_eval_tasks.tokens import tokenizer_of

_TAGS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))

_LET_IT_FINISH = """--gen_kwargs '{"until": ["<|endoftext|>"], "max_gen_toks": 4096}'"""
"""Options that let a model finish reasoning; some servers require a stop string."""


def without_reasoning(text: str, prompt: str = "") -> str | None:
    """The answer after a reasoning block, or the whole text without a block; None if a block is not closed.

    Args:
        text: generated text.
        prompt: the prompt, in which some chat templates open the block.
    """
    for opening, closing in _TAGS:
        inside = text.lstrip().startswith(opening) or prompt.rstrip().endswith(opening)
        block, closed, answer = text.partition(closing)
        if closed and (inside or opening not in block):
            return answer.lstrip()
        if inside:
            return None
    return text


def removes_reasoning(lm: Any) -> bool:
    """Whether lm-eval itself removes reasoning from answers (``think_end_token=`` in ``--model_args``)."""
    return getattr(lm, "think_end_token", None) is not None


def may_reason(lm: Any) -> bool:
    """Whether the model's chat template allows reasoning, and the run does not disable it."""
    template = getattr(tokenizer_of(lm), "chat_template", None)
    chosen = getattr(lm, "chat_template_args", {}).get("enable_thinking")
    return "enable_thinking" in str(template) and chosen is not False


def stops_reasoning(until: Sequence[str]) -> bool:
    """Whether a stop string is likely to occur within reasoning: a newline or a full stop."""
    return any(stop.strip() in ("", ".") for stop in until)


def reasoning_advice(lm: Any) -> str:
    """Advice on the options that let a reasoning model answer."""
    if hasattr(lm, "chat_template_args"):
        switch = "enable_thinking=False in --model_args, if the chat template has this option"
    else:
        switch = """--gen_kwargs '{"chat_template_kwargs": {"enable_thinking": false}}', if supported"""
    return f"let it finish with {_LET_IT_FINISH}, or disable reasoning: {switch}"
