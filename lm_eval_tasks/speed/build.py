"""Time to build the documents of each default task, 500 per length.

    python -m lm_eval_tasks.speed.build --metadata '{"source": "FOLDER", "tokenizer": "tokenizer.json",
      "squad_source": "squad.jsonl"}'

Tasks of one benchmark share a source, which is read and tokenized by the first of them.
"""

import json
import logging
import time
from collections import defaultdict

from lm_eval.tasks import TaskManager

from dataset_builders import InputError
from dataset_builders.checks import first_line
from dataset_builders.command_line import cli, command_errors
from dataset_builders.markdown import markdown_table
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.catalog import task_files
from lm_eval_tasks.twins import without_twin


def main(metadata: str = "{}") -> None:
    """Build every task that has no required arguments, and print the times by benchmark.

    Args:
        metadata: Metadata of the tasks as JSON, as for lm_eval's --metadata.
    """
    try:
        given = json.loads(metadata)
    except (ValueError, RecursionError) as error:
        raise InputError(f"metadata = {metadata!r} is not JSON ({first_line(error)})") from None
    if not isinstance(given, dict):
        raise InputError(f"metadata = {metadata!r} is not a JSON object")
    logging.disable(logging.WARNING)

    manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=given)
    seconds: dict[str, dict[str, float]] = defaultdict(dict)
    for entry in task_files():
        if entry.members or without_twin(entry.name).endswith("_n"):
            continue
        start = time.perf_counter()
        (task,) = manager.load([entry.name])["tasks"].values()
        seconds[task.config.metadata["benchmark"]][entry.name] = time.perf_counter() - start

    lines = []
    for benchmark, tasks in sorted(seconds.items()):
        slowest = max(tasks, key=lambda name: tasks[name])
        lines.append([benchmark, len(tasks), f"{sum(tasks.values()):.2f}", slowest, f"{tasks[slowest]:.2f}"])
    headers = ["benchmark", "tasks", "seconds", "slowest", "seconds"]
    print(markdown_table(headers, lines))


if __name__ == "__main__":
    with command_errors():
        cli(main, prog="python -m lm_eval_tasks.speed.build")
