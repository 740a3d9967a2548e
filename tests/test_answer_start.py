"""Forced answers of chat models begin without a space, as the models themselves begin them."""

import logging
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tasks import TASKS_FOLDER
from tests.evaluation import scores
from tests.scripted import Scripted

USER, ASSISTANT = "<user>", "<assistant>"


class Chat(Scripted):
    """Answers the last question of a phone book or copies the last string, after the template."""

    tokenizer_name = "chat"

    def __init__(self, end: str, space: str) -> None:
        super().__init__(self._answer)
        self._end, self._space = end, space

    def apply_chat_template(self, history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return f"{USER}{history[-1]['content']}{ASSISTANT}{self._end}"

    def chat_template(self, chat_template: Any = False) -> str:
        return "template"

    def _answer(self, text: str) -> str:
        prompt, _, begun = text.partition(USER)[2].partition(ASSISTANT)
        question = prompt.split("\n")[-1]
        if question.endswith("->"):
            answer = question.removesuffix(" ->")
        else:
            answer = next(
                line.removeprefix(f"{question} ") for line in prompt.split("\n") if question in line
            )
        # lm-eval moves white space from the end of a prompt to its answer
        return f"{(self._end + self._space).removeprefix(begun)}{answer}\n"


@pytest.mark.parametrize(("end", "space"), [("\n", ""), ("\n\n", ""), (" ", ""), ("", " "), ("", "")])
def test_forced_answers_follow_the_chat_template_as_generated_ones_do(
    end: str, space: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = ["phone_book_20", "phone_book_multi_20", "string_copy_10"]
    with caplog.at_level(logging.WARNING):
        results = simple_evaluate(
            model=Chat(end, space),
            tasks=[*names, *(f"{name}_forced" for name in names)],
            task_manager=TaskManager(
                include_path=TASKS_FOLDER, include_defaults=False, metadata={"num_docs": 3}
            ),
            bootstrap_iters=1,
            apply_chat_template=True,
        )
    warned = [record for record in caplog.records if "does not end in white space" in record.getMessage()]
    assert len(warned) == (0 if end else len(names))
    for name in names:
        metric = "recall" if "multi" in name else "exact_match"
        assert scores(results, name)[metric] == 1.0
        assert scores(results, f"{name}_forced")[metric] == float(bool(end) or bool(space))
