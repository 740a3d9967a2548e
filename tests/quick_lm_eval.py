"""Speeds up lm-eval: slow steps that no test is about are done once or not at all."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

from lm_eval_tasks import TASKS_FOLDER


@contextmanager
def quick_lm_eval() -> Iterator[None]:
    """lm-eval reads the files of our tasks once, and its results contain no report on the machine.

    Otherwise it reads all files for each ``TaskManager``, in 0.2 s, and runs ``pip list`` for each report.
    """
    from lm_eval.tasks import _index

    build = _index.TaskIndex.build

    @cache
    def ours() -> dict[str, Any]:
        return build([TASKS_FOLDER])

    def build_once(paths: Iterable[Path], **options: Any) -> dict[str, Any]:
        paths = list(paths)
        return dict(ours()) if paths == [TASKS_FOLDER] and not options else build(paths, **options)

    with (
        mock.patch.object(_index.TaskIndex, "build", staticmethod(build_once)),
        mock.patch("torch.utils.collect_env.get_pretty_env_info", lambda: "not reported in tests"),
    ):
        yield


@contextmanager
def our_tasks_alone() -> Iterator[None]:
    """lm-eval finds only the tasks of ``--include_path``: reading its own takes 8 s."""
    from lm_eval.tasks import TaskManager

    start = TaskManager.__init__

    def without_defaults(manager: TaskManager, **options: Any) -> None:
        start(manager, **{**options, "include_defaults": False})

    with mock.patch.object(TaskManager, "__init__", without_defaults):
        yield
