"""Reasoning blocks before an answer."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager

from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.answers import first_line
from lm_eval_tasks.generated_view import GeneratedView
from lm_eval_tasks.reasoning import may_reason, reasoning_advice, stops_reasoning, without_reasoning
from tests.models import byte_tokenizer, tiny_model
from tests.scripted import Scripted, look_up

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


def run_with_template(template: str, **arguments: Any) -> dict[str, float]:
    tokenizer = byte_tokenizer()
    tokenizer.chat_template = template
    lm = HFLM(
        pretrained=tiny_model("gpt_neox"), tokenizer=tokenizer, device="cpu", max_length=4096, **arguments
    )
    results = simple_evaluate(
        model=lm,
        tasks=["phone_book_20"],
        task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False),
        metadata={"num_docs": 2},
        apply_chat_template=True,
        gen_kwargs={"max_gen_toks": 4},
        bootstrap_iters=1,
    )
    return results["results"]["phone_book_20"]


def test_a_template_that_opens_the_block_leaves_documents_unanswered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        found = run_with_template("{{ messages[0]['content'] }}<think>\n")
    assert (found["unanswered,none"], found["exact_match,none"]) == (1.0, 0.0)
    warnings = [r.getMessage() for r in caplog.records if "reasoning" in r.getMessage()]
    assert len(warnings) == 1
    assert "phone_book_20: generation stopped before the model had finished reasoning" in warnings[0]


def test_reasoning_that_lm_eval_has_removed_is_not_missed() -> None:
    """As with a template that opens the block, and a model argument for lm-eval that names its end."""
    lm = Scripted(look_up)
    lm.think_end_token = "</think>"
    doc = {"id": "a", "prompt": "p", "answer": "1"}
    request = Instance("generate_until", doc, ("p<think>", {"max_gen_toks": 9}), 0)
    view = GeneratedView(lm, [request], lambda _: None, {"answer": ["1"]}, 9, rule=None, chat=True)
    found = view.scores(doc, [" 1"], first_line)
    assert (found["unanswered"], found["exact_match"]) == (0.0, 1.0)


@pytest.mark.parametrize(("arguments", "count"), [({}, 1), ({"enable_thinking": False}, 0)])
def test_a_template_that_may_open_one_is_warned_of_before_the_run(
    arguments: dict[str, Any], count: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run_with_template("{% if enable_thinking %}{% endif %}{{ messages[0]['content'] }}", **arguments)
    warnings = [r.getMessage() for r in caplog.records if "lets the model reason" in r.getMessage()]
    assert len(warnings) == count


@pytest.mark.parametrize(
    ("until", "stops"),
    [(["\n"], True), (["\n\n"], True), (["x", "."], True), (["<|endoftext|>"], False), ([], False)],
)
def test_line_ends_and_full_stops_cut_reasoning(until: list[str], stops: bool) -> None:
    assert stops_reasoning(until) is stops
