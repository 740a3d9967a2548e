"""The known tasks, whose names are the only ones under which results are read and files are written.

They are the tasks of every known benchmark: of this package, and of other installed or imported packages.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from dataset_builders import InputError
from dataset_builders.benchmark import Benchmark
from dataset_builders.registry import benchmarks as registered
from dataset_builders.registry import find, resolve
from lm_eval_tasks.twins import TWINS

_OF_ANY_LENGTH = re.compile(rf"([a-z0-9_]{{1,100}}?)_[0-9]{{1,9}}((?:{'|'.join(TWINS)})?)")


def task_configs() -> Mapping[str, Mapping[str, Any]]:
    """The content of every task's YAML file by task, with ``include`` resolved; functions are dotted names.

    Raises:
        InputError: a benchmark of another package cannot be loaded.
    """
    return _configs_of(tuple(registered()))


def task_config(name: str) -> Mapping[str, Any] | None:
    """The content of a task's YAML file; None if the task is not known.

    Tasks created by a task of any length, such as ``phone_book_n``, are named like tasks of a fixed length.

    Raises:
        InputError: a benchmark of another package cannot be loaded.
    """
    configs = task_configs()
    found = _OF_ANY_LENGTH.fullmatch(name)
    return configs.get(name) or (configs.get(f"{found[1]}_n{found[2]}") if found else None)


def benchmark_of(task: str) -> Benchmark:
    """The benchmark of a known task.

    Raises:
        InputError: the task is not known.
    """
    config = task_config(task)
    if config is None:
        raise InputError(f"there is no task {task!r}; `python -m lm_eval_tasks list` shows the tasks")
    return resolve(config["dataset_path"])


def benchmarks() -> frozenset[str]:
    """The names of sets of tasks that differ only in length, as in ``metadata.benchmark``."""
    return frozenset(config["metadata"]["benchmark"] for config in task_configs().values())


@cache
def _configs_of(names: tuple[str, ...]) -> dict[str, Mapping[str, Any]]:
    return dict(task for name in names for task in _tasks(name))


def _tasks(benchmark: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    from lm_eval_tasks.generate import file_contents

    files = dict(file_contents(find(benchmark)))
    for content in files.values():
        if "task" in content and "group" not in content:
            whole = dict(content)
            while include := whole.pop("include", None):
                whole = {**files[include], **whole}
            yield whole["task"], whole
