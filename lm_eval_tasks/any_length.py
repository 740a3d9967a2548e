"""The class behind the tasks whose names end in ``_n``: any length, or several at once.

``--metadata '{"entries": 37}'`` is one task under the name that was asked for. With a list or a range,
``'{"entries": [20, 21, 22]}'`` or ``'{"entries": "20:120:20"}'``, each length is a task of its own, named as
the tasks of one length are: ``phone_book_20``, ``phone_book_21``, ``phone_book_22``. lm-eval loads the model
once, and each task's results say its ``length``, as those of any other task do.
"""

from collections.abc import Mapping
from copy import deepcopy
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from dataset_builders import InputError
from dataset_builders.registry import resolve
from lm_eval_tasks.lm_eval_run import print_input_errors_as_sentences
from lm_eval_tasks.recall_task import RecallTask
from lm_eval_tasks.task_metadata import asked_of_the_documents


class AnyLength:
    """Makes the tasks that a YAML file and ``--metadata`` ask for.

    Args:
        config: the task's YAML file, with ``--metadata`` merged into its ``metadata``, as lm-eval has it.

    Returns:
        A :class:`RecallTask`, or for several lengths a list of them.

    Raises:
        InputError: the lengths cannot be read.
    """

    def __new__(cls, config: Mapping[str, Any]) -> Any:
        print_input_errors_as_sentences()
        benchmark = resolve(config["dataset_path"])
        lengths = benchmark.lengths
        try:
            asked = asked_of_the_documents(config["metadata"])
            given = asked.pop(lengths.parameter, None)
            wanted = lengths.parse(given) if isinstance(given, list | tuple | str) else None
        except InputError as error:
            raise InputError(f"{config['task']}: {error}") from None
        if wanted is None:
            return RecallTask(config)
        if find_spec("lm_eval.tasks._factory") is None:
            raise InputError(
                f"{config['task']}: lm-eval {version('lm-eval')} takes one length at a time; give one, or "
                "install lm-eval 0.4.13 or later"
            )
        fixed = config.get("dataset_kwargs") or {}
        forced = "_forced" if config["task"].endswith("_forced") else ""
        tasks = []
        for length in wanted:
            arguments = {**fixed, **lengths.arguments(length)}
            name = benchmark.config_name(arguments)
            task = deepcopy(dict(config))
            task |= {"task": f"{name}{forced}", "dataset_name": name, "dataset_kwargs": arguments}
            tasks.append(RecallTask(task, asked))
        return tasks

    def __init__(self, config: Mapping[str, Any]) -> None:
        """lm-eval looks for the parameter ``config`` here; no object of this class is ever made."""
