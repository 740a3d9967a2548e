"""Results of a probe as files that ``python -m lm_eval_tasks report`` reads and draws by training step."""

import re
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.files import write_json
from lm_eval_tasks.probe.scores import METRICS, RecallScore
from lm_eval_tasks.twins import FORCED

BACKEND = "recall_probe"
"""Stands in result files where lm-eval names its kind of model, so that reports can distinguish the two."""

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

    A file of the same step is replaced, because a resumed training run may reach the same step again.

    Args:
        scores: task -> its scores.
        folder: a folder for this training run; reports take it, or a parent folder.
        model: name of the training run in reports; the same for all of its steps.
        step: number of training steps so far.
        dtype: dtype of the weights, such as ``float32``.
        settings: other settings by which reports distinguish training runs of the same name.

    Raises:
        InputError: ``step`` is not a number of steps, there are no scores, or the file cannot be written.
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
    file = Path(folder) / f"results_step{step}.json"
    write_json(file, content)
    return file


def written_steps(folder: Path) -> list[int]:
    """The steps whose results are in a folder, in order."""
    found = (_WRITTEN.fullmatch(file.name) for file in folder.glob("results_step*.json"))
    return sorted(int(match[1]) for match in found if match)


def _result(task: str, score: RecallScore) -> dict[str, Any]:
    result: dict[str, Any] = {"alias": task, "sample_len": len(score.documents)}
    for metric in METRICS:
        mean = score.mean(metric)
        if mean is not None:
            result[f"{metric},none"] = mean
            result[f"{metric}_stderr,none"] = score.stderr(metric)
    return result
