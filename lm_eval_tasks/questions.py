"""The questions of one document: each is the document with its own prompt and answer."""

import json
from collections.abc import Callable, Mapping, Sequence
from pkgutil import resolve_name
from typing import Any

from dataset_builders import InputError
from dataset_builders.registry import resolve
from lm_eval_tasks.twins import GAIN, twin_of

Document = dict[str, Any]

Questions = Callable[[Document], Sequence[Document]]


def questions_of(task_config: Mapping[str, Any]) -> Questions | None:
    """The function that maps a document of a task to its questions; None if each document is one question.

    Args:
        task_config: the content of the task's YAML file.
    """
    evaluation = resolve(task_config["dataset_path"]).evaluation
    if twin_of(task_config["task"]) == GAIN and evaluation.without_answer is not None:
        without_answer = resolve_name(evaluation.without_answer)
        return lambda doc: [doc, {**doc, "prompt": without_answer(doc)}]
    return None if evaluation.questions is None else resolve_name(evaluation.questions)


def with_other_prompt(context: Any, prompt: str, other: str) -> Any:
    """lm-eval's context with the document's prompt replaced by another one.

    Args:
        context: the prompt with the text around it, as a string or as the JSON of a chat.
        prompt: the prompt to replace.
        other: the new prompt.

    Raises:
        InputError: ``context`` does not contain the prompt.
    """
    is_text = isinstance(context, str)
    whole = context if is_text else context.prompt
    if not is_text:
        prompt, other = _in_json(prompt), _in_json(other)
    before, found, after = whole.rpartition(prompt)
    if not found:
        raise InputError(
            "the chat template changes the prompt, so the question in it cannot be replaced by another"
        )
    replaced = f"{before}{other}{after}"
    return replaced if is_text else context._replace(prompt=replaced)


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
