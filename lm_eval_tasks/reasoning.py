"""Models that reason before they answer, in a block such as ``<think>...</think>``.

The tasks stop at the first newline, and a newline is among the first things that such a model writes.
"""

from collections.abc import Sequence
from typing import Any

from lm_eval_tasks.tokens import tokenizer_of

_TAGS = (("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]"))

_LET_IT_FINISH = """--gen_kwargs '{"until": ["<|endoftext|>"], "max_gen_toks": 4096}'"""
"""Some servers stop with an error where there are no stop strings at all."""


def without_reasoning(text: str, prompt: str = "") -> str | None:
    """The answer after a reasoning block, the text itself if there is no block, None in an open block.

    Args:
        text: what the model wrote.
        prompt: what it was given; some chat templates open the block there.
    """
    for opening, closing in _TAGS:
        inside = text.lstrip().startswith(opening) or prompt.rstrip().endswith(opening)
        block, closed, answer = text.partition(closing)
        if closed and (inside or opening not in block):
            return answer.lstrip()
        if inside:
            return None
    return text


def may_reason(lm: Any) -> bool:
    """Whether the model's chat template lets it reason first, and the run does not switch that off."""
    template = getattr(tokenizer_of(lm), "chat_template", None)
    chosen = getattr(lm, "chat_template_args", {}).get("enable_thinking")
    return "enable_thinking" in str(template) and chosen is not False


def stops_reasoning(until: Sequence[str]) -> bool:
    """Whether a stop string is one that reasoning holds: a line end or a full stop."""
    return any(stop.strip() in ("", ".") for stop in until)


def reasoning_advice(lm: Any) -> str:
    """What to type so that a reasoning model can answer."""
    if hasattr(lm, "chat_template_args"):
        switch = "if its chat template knows the word, enable_thinking=False in --model_args"
    else:
        switch = (
            """if the server knows it, --gen_kwargs '{"chat_template_kwargs": {"enable_thinking": false}}'"""
        )
    return f"let it finish with {_LET_IT_FINISH}, or switch the reasoning off: {switch}"
