"""Runs of lm-eval's API models on a scripted server."""

from collections.abc import Callable
from typing import Any

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tasks import TASKS_FOLDER
from tests.completions_server import CompletionsServer


def answering(rule: Callable[[str], str | None]) -> Callable[[str, int], str | None]:
    return lambda prompt, _: rule(prompt)


def run(
    server: CompletionsServer, *tasks: str, chat: bool = False, metadata: dict[str, Any], **options: Any
) -> dict[str, Any]:
    """What ``lm_eval --model local-completions`` or ``local-chat-completions`` does."""
    given = {"model": "m", "max_retries": 1, **options.pop("model_args", {})}
    url = server.url("chat/completions" if chat else "completions")
    return simple_evaluate(
        model="local-chat-completions" if chat else "local-completions",
        model_args={"base_url": url, **given},
        tasks=list(tasks),
        apply_chat_template=options.pop("apply_chat_template", chat),
        task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False),
        metadata={"num_docs": 3, **metadata},
        bootstrap_iters=1,
        **options,
    )


def scores(results: dict[str, Any], task: str) -> dict[str, Any]:
    found = results["results"][task].items()
    return {k.removesuffix(",none"): v for k, v in found if k.endswith(",none") and "_stderr" not in k}
