"""One run of a figure in its own process: train, evaluate, write the result.

    python -m synthetic_training.figures.job '{"config": {...}, "folder": "...", "tests": {...}, ...}'

Under ``torchrun``, the processes share the training, and the first one does the rest. A job ends when the
process that started it ends for any reason, because its standard input is then closed.
"""

import json
import os
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path
from statistics import median
from typing import Any

from filelock import FileLock

from dataset_builders.command_line import command_errors
from dataset_builders.files import partial_path, read_json, write_json
from dataset_builders.interruption import Interrupted
from dataset_builders.workers import end_with_parent
from synthetic_training.config import DOCUMENTS, MQAR
from synthetic_training.figures.plan import Result
from synthetic_training.training.run_folder import METRICS, RUN
from synthetic_training.training.run_log import read_metrics

SCORES = (
    "string_accuracy",
    "string_accuracy_stderr",
    "letter_accuracy",
    "letter_accuracy_stderr",
    "exact_match",
)


def main() -> None:
    end_with_parent()
    job = json.loads(sys.argv[1])
    folder = Path(job["folder"])
    rank = int(os.environ.get("RANK", "0"))
    # another figure may need the same run at the same time; its job then waits for this one
    with FileLock(folder.with_name(f".{folder.name}.lock")) if rank == 0 else nullcontext():
        diverged = train_or_resume(job["config"], folder, may_diverge=not any(job["tests"].values()))
    if rank:
        return
    tests = {
        stem: [score for test in some for score in _test(folder, test, job["config"])]
        for stem, some in job["tests"].items()
    }
    result = {**trained(folder, diverged), "tests": tests}
    result["git_revision"] = job["revision"] or result["git_revision"]
    write_json(Path(job["result"]), result)


def trained(folder: Path, diverged: int | None = None) -> Result:
    """The training part of a result, read from the files of a run that has ended.

    Args:
        folder: the run's folder.
        diverged: the step at which a loss that is not finite was detected; None if it stayed finite.
            A run that diverged has no final loss, and an accuracy of 0 at the end.

    Raises:
        InputError: a file is missing or damaged.
    """
    run, metrics = read_json(folder / RUN), read_metrics(folder / METRICS)
    records = [record for record in metrics if record["kind"] == "train"]
    tokens_per_step = run["config"]["batch_size"] * run["config"]["context_length"]
    curve = [
        {
            "step": record["step"],
            "examples": record["examples"],
            "tokens": record["step"] * tokens_per_step,
            **{key: record[key] for key in ("length", *SCORES[:3])},
        }
        for record in metrics
        if record["kind"] == "eval"
    ]
    if diverged is not None:
        config = run["config"]
        zero = dict.fromkeys(SCORES[:3], 0.0)
        length = (config["eval_lengths"] or [_default_length(config)])[-1]
        examples = records[-1]["examples"] if records else 0
        last = {"step": diverged, "examples": examples, "tokens": diverged * tokens_per_step}
        curve.append({**last, "length": length, **zero})
    # the time of the first record includes compilation
    speeds = [record["tokens_per_second"] for record in records[1:] or records]
    return {
        **{key: run[key] for key in ("config", "parameters", "git_revision", "versions", "machine")},
        **({"code": run["code"]} if run.get("code") else {}),
        "seconds": metrics[-1]["seconds"] if metrics else 0.0,
        "tokens": curve[-1]["tokens"],
        "tokens_per_second": median(speeds) if speeds else 0.0,
        "curve": curve,
        "final_loss": records[-1]["loss"] if diverged is None else None,
    }


def _default_length(config: dict[str, Any]) -> int:
    """The length at which a run is evaluated if its settings do not name one."""
    from synthetic_training.data.documents.document_data import EVAL_ENTRIES

    others = {MQAR: config.get("pairs"), DOCUMENTS: EVAL_ENTRIES[-1]}
    return int(others.get(config.get("task", "")) or config["max_length"])


def train_or_resume(settings: dict[str, Any], folder: Path, *, may_diverge: bool) -> int | None:
    """Train, or continue the run in the folder.

    Args:
        settings: settings of the run.
        folder: the run's folder.
        may_diverge: whether a run whose loss is not finite has a result; otherwise, NotFiniteError is raised.

    Returns:
        The step at which a loss that is not finite was detected, or None.
    """
    from transformers.utils import logging

    from synthetic_training.config import TrainConfig
    from synthetic_training.training.loop import NotFiniteError
    from synthetic_training.training.processes import connect
    from synthetic_training.training.run import train

    logging.disable_progress_bar()
    # left by a run that was killed while it wrote its settings
    partial_path(folder / RUN).unlink(missing_ok=True)
    # the processes agree on this before the first one creates the file
    resume = bool(connect().max(int((folder / RUN).exists())))
    diverged = None
    try:
        train(TrainConfig(**settings), folder, resume=resume)
    except NotFiniteError as error:
        if not may_diverge:
            raise
        diverged = error.step
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return diverged


def _test(folder: Path, test: dict[str, Any], config: dict[str, Any]) -> list[Result]:
    from synthetic_training.evaluation.config import EvaluateConfig
    from synthetic_training.evaluation.evaluate import evaluate
    from synthetic_training.models.registry import is_own_code

    settings = {**test, "lengths": tuple(test["lengths"]), "device": config["device"]}
    with_keys = settings.pop("keys")
    # trusted, because it is the code of the model that this run trained
    trusted = is_own_code(config["model"]) or bool(config["imports"])
    found = evaluate(EvaluateConfig(folder, **settings, trust_remote_code=trusted))
    task = found["config"]["task"]
    k = test["k"] or (config["k"] if task == config["task"] else None)
    test_key = {"task": task, "n": found["config"]["n"], "k": k}
    keys = _keys(folder, settings, config, trusted=trusted) if with_keys else {}
    scores = []
    for score in found["results"]:
        values = {key: score[key] for key in ("length", "num_examples", *SCORES)}
        scores.append({**test_key, **values, **keys.get(score["length"], {})})
    return scores


def _keys(
    folder: Path, test: dict[str, Any], config: dict[str, Any], *, trusted: bool
) -> dict[int, dict[str, Any]]:
    """Counts of competing keys for ``figures.keys``, by the length of the strings."""
    import torch

    from dataset_builders.string_tasks import string_task
    from synthetic_training.data.strings import evaluation_batches
    from synthetic_training.evaluation.keys import key_counts
    from synthetic_training.evaluation.saved_model import load_symbol_model, model_folder
    from synthetic_training.memory import enough_memory
    from synthetic_training.training.device import autocasts, on_device

    loaded = load_symbol_model(model_folder(folder), trust_remote_code=trusted)
    model = on_device(loaded, config["device"]).eval()
    found = {}
    for length in test["lengths"]:
        task = string_task("copy", length, length, config["vocabulary"])
        numbers = range(test["num_examples"])
        batches = evaluation_batches(task, numbers, test["batch_size"], 0, model.device)
        autocast = torch.autocast(model.device.type, torch.bfloat16, enabled=autocasts(model))
        with enough_memory("reduce batch_size in the tests of the figure"), autocast:
            found[length] = {"keys": key_counts(model, batches).as_json()}
    return found


if __name__ == "__main__":
    with command_errors():
        try:
            main()
        except Interrupted as stop:
            print(stop)
            sys.exit(stop.status)
