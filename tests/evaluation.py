"""Runs tasks with lm-eval's own evaluator in this process, and returns the scores in its results."""

from typing import Any

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tasks import TASKS_FOLDER


def evaluate(lm: Any, *tasks: str, **metadata: Any) -> dict[str, Any]:
    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=metadata)
    return simple_evaluate(model=lm, tasks=list(tasks), task_manager=manager, bootstrap_iters=1)


def scores(results: dict[str, Any], task: str) -> dict[str, float]:
    return {
        key.removesuffix(",none"): value
        for key, value in results["results"][task].items()
        if key.endswith(",none")
    }
