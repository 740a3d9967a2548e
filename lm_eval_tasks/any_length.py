"""The class of tasks whose names end in ``_n``, which take any length, or several lengths at once.

``--metadata '{"entries": 37}'`` gives one task, with the name passed to ``--tasks``. A list or a range, such
as ``'{"entries": [20, 21, 22]}'`` or ``'{"entries": "20:120:20"}'``, gives one task per length, named like
the tasks of a fixed length: ``phone_book_20``, ``phone_book_21``, ``phone_book_22``. lm-eval loads the model
once, and the results of each task contain its ``length``.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from dataset_builders import InputError
from dataset_builders.registry import resolve
from lm_eval_tasks.lm_eval_run import print_input_errors_as_sentences
from lm_eval_tasks.recall_task import RecallTask
from lm_eval_tasks.task_metadata import read_user_metadata
from lm_eval_tasks.twins import twin_of


class AnyLength:
    """Creates the tasks of a YAML file for the lengths in ``--metadata``.

    Args:
        config: the task's YAML file, with ``--metadata`` merged into its ``metadata`` by lm-eval.

    Returns:
        A :class:`RecallTask`, or a list of them for several lengths.

    Raises:
        InputError: the lengths cannot be read.
    """

    def __new__(cls, config: Mapping[str, Any]) -> Any:
        print_input_errors_as_sentences()
        benchmark = resolve(config["dataset_path"])
        lengths = benchmark.lengths
        try:
            user_metadata = read_user_metadata(config["metadata"])
            given = user_metadata.pop(lengths.parameter, None)
            wanted = lengths.parse(given) if isinstance(given, list | tuple | str) else None
        except InputError as error:
            raise InputError(f"{config['task']}: {error}") from None
        if wanted is None:
            return RecallTask(config)
        fixed = config.get("dataset_kwargs") or {}
        twin = twin_of(config["task"])
        tasks = []
        for length in wanted:
            arguments = {**fixed, **lengths.arguments(length)}
            name = benchmark.config_name(arguments)
            task = deepcopy(dict(config))
            task |= {"task": f"{name}{twin}", "dataset_name": name, "dataset_kwargs": arguments}
            tasks.append(RecallTask(task, user_metadata))
        return tasks

    def __init__(self, config: Mapping[str, Any]) -> None:
        """Never called: lm-eval looks for the parameter ``config`` in this signature."""
