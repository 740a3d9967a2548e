"""Results of a probe as files that ``python -m lm_eval_tasks report`` reads and draws by training step."""

import json
import re
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.files import read_json, write_json
from lm_eval_tasks.probe.scores import METRICS, RecallScore
from lm_eval_tasks.twins import FORCED

BACKEND = "recall_probe"
"""Kind of model in the result files of probes, by which reports distinguish them from lm-eval's results."""

STARTED = "started"
"""Setting with the start of a training run, which distinguishes runs whose output folders share a name."""

_WRITTEN = re.compile(r"results_step(\d{1,15})\.json")


def write_results(
    scores: Mapping[str, RecallScore],
    folder: Path | str,
    *,
    model: str,
    step: int,
    dtype: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Write the scores of one training step as ``FOLDER/results_stepSTEP.json``, in lm-eval's format.

    A file of the same training run and step is replaced, because a resumed run may reach the same step again.

    Args:
        scores: scores by task, for all tasks that are evaluated at this step.
        folder: a folder for this training run; reports take it, or a parent folder.
        model: name of the training run in reports; the same for all of its steps.
        step: number of training steps so far.
        dtype: dtype of the weights, such as ``float32``.
        settings: other settings by which reports distinguish training runs of the same name.

    Raises:
        InputError: ``step`` is not a number of steps, there are no scores, the file cannot be written, or
            replacing it would lose the results of another training run or the scores of tasks that
            ``scores`` lacks.
    """
    check_integer("step", step, 0)
    if not scores:
        raise InputError("there are no scores to write")
    tasks = {f"{name}{FORCED}": score for name, score in scores.items()}
    content = {
        "results": {task: _result(task, score) for task, score in tasks.items()},
        "configs": {task: score.config for task, score in tasks.items()},
        "n-shot": dict.fromkeys(tasks, 0),
        "n-samples": {
            task: {"original": len(score.documents), "effective": len(score.documents)}
            for task, score in tasks.items()
        },
        "higher_is_better": {
            task: {metric["metric"]: metric["higher_is_better"] for metric in score.config["metric_list"]}
            for task, score in tasks.items()
        },
        "config": {
            "model": BACKEND,
            "model_args": {"pretrained": model, "revision": f"step{step}", **(settings or {})},
            "model_dtype": dtype,
        },
        "model_name": model,
        "date": time.time(),
        "transformers_version": version("transformers"),
        "versions": {name: version(name) for name in ("repeat-after-me", "torch", "transformers")},
    }
    file = Path(folder) / _name(step)
    if file.exists():
        _check_replaceable(file, content)
    write_json(file, content)
    return file


def written_steps(folder: Path) -> list[int]:
    """The steps whose results are in a folder, in order."""
    found = (_WRITTEN.fullmatch(file.name) for file in folder.glob("results_step*.json"))
    return sorted(int(match[1]) for match in found if match)


def written_run(folder: Path) -> tuple[str, str | None] | None:
    """The name in reports of the training run with results in a folder, and its start if it is known.

    Returns:
        None if there are no results.

    Raises:
        InputError: a file of results cannot be read.
    """
    steps = written_steps(folder)
    if not steps:
        return None
    found = _Written.read(folder / _name(steps[-1]))
    started = found.config.model_args.get(STARTED)
    return found.model_name, started if isinstance(started, str) else None


class _Config(BaseModel):
    model_args: dict[str, Any]


class _Written(BaseModel):
    """The part of a result file that is checked before it is replaced."""

    model_config = ConfigDict(protected_namespaces=())

    results: dict[str, Any]
    config: _Config
    model_name: str

    @classmethod
    def read(cls, file: Path) -> "_Written":
        try:
            return cls.model_validate(read_json(file))
        except ValidationError:
            raise InputError(f"{file} is not a file of a probe's results") from None


def _check_replaceable(file: Path, content: dict[str, Any]) -> None:
    """Raise InputError if replacing a file would lose results of another run, or of other tasks."""
    old, new = _Written.read(file), _Written.model_validate_json(json.dumps(content))
    if old.config != new.config:
        same = " with other settings" if old.model_name == new.model_name else ""
        raise InputError(
            f"{file} has the results of the training run {old.model_name!r}{same}, which would be lost; "
            f"write those of {new.model_name!r} to another folder"
        )
    lost = [task.removesuffix(FORCED) for task in old.results if task not in new.results]
    if lost:
        raise InputError(
            f"{file} has scores of {', '.join(lost)}, which would be lost; write the scores of all tasks of "
            "a step together, or to another folder"
        )


def _name(step: int) -> str:
    return f"results_step{step}.json"


def _result(task: str, score: RecallScore) -> dict[str, Any]:
    result: dict[str, Any] = {"alias": task, "sample_len": len(score.documents)}
    for metric in METRICS:
        mean = score.mean(metric)
        if mean is not None:
            result[f"{metric},none"] = mean
            result[f"{metric}_stderr,none"] = score.stderr(metric)
    return result
