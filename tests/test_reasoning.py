"""Reasoning blocks before an answer."""

from types import SimpleNamespace

import pytest

from lm_eval_tasks.reasoning import may_reason, reasoning_advice, without_reasoning

OPEN_IN_PROMPT = "<|assistant|><think>\n"


@pytest.mark.parametrize(
    ("text", "prompt", "answer"),
    [
        (" 6123\n", "", " 6123\n"),
        ("<think>\nLooking.\n</think>\n\n6123", "", "6123"),
        ("\n<think></think>6123\nmore", "", "6123\nmore"),
        ("<think>\nLooking", "", None),
        ("<think>", "", None),
        ("[THINK]so[/THINK]6123", "", "6123"),
        ("<thinking>so", "", None),
        ("Looking.\n</think>\n6123", OPEN_IN_PROMPT, "6123"),
        ("Looking.", OPEN_IN_PROMPT, None),
        ("Looking.\n</think>\n6123", "", "6123"),
        ("copy <think> of </think> text", "", "copy <think> of </think> text"),
        ("", "", ""),
    ],
)
def test_the_answer_is_what_follows_the_block(text: str, prompt: str, answer: str | None) -> None:
    assert without_reasoning(text, prompt) == answer


@pytest.mark.parametrize(
    ("template", "arguments", "expected"),
    [
        ("{% if enable_thinking %}", {}, True),
        ("{% if enable_thinking %}", {"enable_thinking": True}, True),
        ("{% if enable_thinking %}", {"enable_thinking": False}, False),
        ("{{ messages }}", {}, False),
        (None, {}, False),
    ],
)
def test_a_template_may_let_the_model_reason(template: str | None, arguments: dict, expected: bool) -> None:
    lm = SimpleNamespace(tokenizer=SimpleNamespace(chat_template=template), chat_template_args=arguments)
    assert may_reason(lm) is expected
    assert not may_reason(object())


def test_the_advice_is_for_the_backend() -> None:
    assert "enable_thinking=False in --model_args" in reasoning_advice(SimpleNamespace(chat_template_args={}))
    assert '"chat_template_kwargs": {"enable_thinking": false}' in reasoning_advice(object())
