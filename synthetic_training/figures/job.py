"""One run of a figure in its own process: train, evaluate, write the result.

    python -m synthetic_training.figures.job '{"config": {...}, "folder": "...", "tests": [...], ...}'

It ends when the process that started it ends for any reason, because its standard input is then closed.
"""

import json
import os
import shutil
import sys
import threading
from pathlib import Path
from statistics import median
from typing import Any

from filelock import FileLock

from dataset_builders.command_line import command_errors
from dataset_builders.files import read_json, write_json
from dataset_builders.interruption import Interrupted
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
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = json.loads(sys.argv[1])
    folder = Path(job["folder"])
    # another figure may need the same run at the same time, and then waits for this one
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        _train(job["config"], folder)
    tests = [score for test in job["tests"] for score in _test(folder, test, job["config"])]
    result = {**trained(folder), "tests": tests}
    if result["config"]["device"] != "cpu":
        result["runs_per_gpu"] = job["per_gpu"]
    result["git_revision"] = job["revision"] or result["git_revision"]
    write_json(Path(job["result"]), result)


def trained(folder: Path) -> Result:
    """The part of a result about training, from the files of a finished run.

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
    # the time of the first record includes compilation
    speeds = [record["tokens_per_second"] for record in records[1:] or records]
    return {
        **{key: run[key] for key in ("config", "parameters", "git_revision", "versions", "machine")},
        "seconds": metrics[-1]["seconds"],
        "tokens": records[-1]["tokens"],
        "tokens_per_second": median(speeds),
        "curve": curve,
        "final_loss": records[-1]["loss"],
    }


def _train(settings: dict[str, Any], folder: Path) -> None:
    from transformers.utils import logging

    from synthetic_training.config import TrainConfig
    from synthetic_training.training.run import train

    logging.disable_progress_bar()
    # left behind by a run that was killed at its very start
    (folder / f".{RUN}.partial").unlink(missing_ok=True)
    train(TrainConfig(**settings), folder, resume=(folder / RUN).exists())
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def _test(folder: Path, test: dict[str, Any], config: dict[str, Any]) -> list[Result]:
    from synthetic_training.evaluation.evaluate import EvaluateConfig, evaluate
    from synthetic_training.models.registry import is_own_code

    asked_of = {**test, "lengths": tuple(test["lengths"]), "device": config["device"]}
    # the code in the folder is the code of the model that this run trained
    trusted = is_own_code(config["model"]) or bool(config["imports"])
    found = evaluate(EvaluateConfig(folder, **asked_of, trust_remote_code=trusted))
    test_key = {"task": test["task"], "n": found["config"]["n"]}
    return [
        {**test_key, **{key: score[key] for key in ("length", "asked", *SCORES)}}
        for score in found["results"]
    ]


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    with command_errors():
        try:
            main()
        except Interrupted as stop:
            print(stop)
            sys.exit(stop.status)
