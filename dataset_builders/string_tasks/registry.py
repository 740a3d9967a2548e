"""The registry of string tasks from this project and from other packages.

A package declares its tasks with an entry point for the module that registers them when it is imported::

    [project.entry-points."repeat_after_me.string_tasks"]
    my_tasks = "my_package.my_tasks"
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from dataset_builders.checks import did_you_mean, first_line
from dataset_builders.errors import InputError
from dataset_builders.string_tasks.task import StringTask

ENTRY_POINTS = "repeat_after_me.string_tasks"

_TASKS: dict[str, type[StringTask]] = {}

Task = TypeVar("Task", bound=type[StringTask])


def register_string_task(task: Task) -> Task:
    """Class decorator that registers a task under its ``name``.

    Raises:
        ValueError: the class has no name or no docstring, or the name is taken by another class.
    """
    name, known = getattr(task, "name", ""), _TASKS.get(getattr(task, "name", ""))
    where = f"{task.__module__}.{task.__qualname__}"
    if not name.isidentifier():
        raise ValueError(f"the string task {where} needs a name that is an identifier, not {name!r}")
    # a dataclass without a docstring gets its signature as the docstring
    if not task.__doc__ or task.__doc__.startswith(f"{task.__name__}("):
        raise ValueError(f"the string task {name} needs a docstring with an example")
    if known is not None and (known.__module__, known.__qualname__) != (task.__module__, task.__qualname__):
        raise ValueError(f"two string tasks are called {name}: {known.__module__} and {task.__module__}")
    _TASKS[name] = task
    return task


def own_string_tasks() -> list[type[StringTask]]:
    """The classes of this package's own tasks."""
    package = __name__.rpartition(".")[0]
    return [task for task in _TASKS.values() if task.__module__.startswith(f"{package}.")]


def string_task_names() -> list[str]:
    """The names of all tasks, the project's own first.

    Raises:
        InputError: the module of an installed package's entry point cannot be imported.
    """
    _load_entry_points()
    return list(_TASKS)


def string_task_class(name: str) -> type[StringTask]:
    """The class of a task.

    Raises:
        InputError: there is no task with this name.
    """
    names = string_task_names()
    if name not in _TASKS:
        raise InputError(
            f"the string task must be one of {', '.join(names)}, not {name!r}{did_you_mean(str(name), names)}"
        )
    return _TASKS[name]


def string_task(
    name: str,
    min_length: int,
    max_length: int,
    vocabulary: int = 26,
    settings: Mapping[str, Any] | None = None,
) -> StringTask:
    """A task by its name, at a range of lengths.

    Args:
        name: name of a registered task.
        min_length: minimum length of a string in letters.
        max_length: maximum length of a string in letters.
        vocabulary: number of different letters.
        settings: settings of the task, such as n and k; a setting that is None or missing has its default.

    Raises:
        InputError: there is no such task, it has no such setting, or a value is out of range.
    """
    task = string_task_class(name)
    given = {key: value for key, value in (settings or {}).items() if value is not None}
    known = task_settings(task)
    for key in given:
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise InputError(f"{name} has no setting {key!r}; {has}{did_you_mean(key, known)}")
    return task(min_length, max_length, vocabulary, **given)


def is_string_task(value: object) -> bool:
    """Whether a value is the class of a registered task."""
    return isinstance(value, type) and value in _TASKS.values()


def task_settings(task: type[StringTask]) -> dict[str, Any]:
    """The names of a task's own settings, with their defaults."""
    common = {field.name for field in fields(StringTask)}
    return {field.name: field.default for field in fields(task) if field.name not in common}


@cache
def _load_entry_points() -> None:
    for point in entry_points(group=ENTRY_POINTS):
        try:
            point.load()
        except ImportError as error:
            raise InputError(
                f"the string tasks of {point.value!r} (entry point {point.name!r}) cannot be imported: "
                f"{first_line(error)}"
            ) from error
