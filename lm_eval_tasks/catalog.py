"""The tasks and groups of this package."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lm_eval.tasks._yaml_loader import load_yaml

from lm_eval_tasks import TASKS_FOLDER


@dataclass(frozen=True)
class TaskFile:
    """One YAML file: ``name`` is used with ``lm_eval --tasks``; ``members`` lists the tasks of a group."""

    name: str
    file: Path
    members: tuple[str, ...]


@cache
def task_files() -> tuple[TaskFile, ...]:
    """Every task and group of the package, sorted by file."""
    found = []
    for file in sorted(TASKS_FOLDER.glob("**/*.yaml")):
        config = load_yaml(file, resolve_func=False)
        if "group" in config:
            found.append(TaskFile(config["group"], file, tuple(config["task"])))
        else:
            found.append(TaskFile(config["task"], file, ()))
    return tuple(found)
