"""Runs ``lm_eval`` for documents, and removes paths and samples from its result files.

Each process does several evaluations, because importing lm-eval takes longer than some of them.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dataset_builders import InputError
from dataset_builders.files import read_json, write_text
from dataset_builders.machine import processor_name
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.documents.plan import REPOSITORY, Evaluation, package_folder, with_folders

_KEPT = (
    "results", "n-shot", "n-samples", "higher_is_better", "versions", "date", "git_hash", "model_source",
    "max_length", "lm_eval_version", "transformers_version",
)  # fmt: skip
_KEPT_OF_CONFIG = (
    "model", "model_num_parameters", "model_dtype", "batch_size", "device", "limit", "gen_kwargs",
    "random_seed", "numpy_seed", "torch_seed", "fewshot_seed",
)  # fmt: skip
_KEPT_OF_TASKS = (
    "task", "num_fewshot", "generation_kwargs", "output_type", "doc_to_text", "description", "gen_prefix",
)  # fmt: skip


_UNFINISHED = "unfinished-"


def evaluate_all(evaluations: Sequence[Evaluation], cache: Path, workers: int) -> None:
    """Run the evaluations that are not in the cache, and keep each run as soon as it is complete.

    Raises:
        InputError: a model or a package is not installed, or lm-eval refuses a run.
    """
    to_do = [one for one in evaluations if not one.matches(result_file(cache, one))]
    for one in to_do:
        if one.model.folder is None:
            raise InputError(f"{one.model.name} is not installed; run `make documents`")
        with_folders(one.run.metadata)
    if not to_do:
        return
    for folder in cache.glob(f"{_UNFINISHED}*"):  # of processes that were killed
        shutil.rmtree(folder)
    cache.mkdir(parents=True, exist_ok=True)
    os.environ["OMP_NUM_THREADS"] = "1"
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    with ProcessPoolExecutor(
        min(workers, len(to_do)),
        get_context("spawn"),
        initializer=_write_to,
        initargs=(cache / "lm_eval.log",),
    ) as pool:
        running = {pool.submit(evaluate, one, cache): one for one in to_do}
        try:
            for done, future in enumerate(as_completed(running), 1):
                future.result()
                one = running[future]
                print(
                    f"{done} of {len(to_do)} evaluated: {one.report}, {one.name}, {one.model.name}",
                    flush=True,
                )
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_to(log: Path) -> None:
    """Redirect the output of this process to a file."""
    with log.open("a") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    os.chdir(REPOSITORY)


def evaluate(evaluation: Evaluation, cache: Path) -> None:
    """Evaluate one model in this process, in the repository, and write results and samples to the cache."""
    with TemporaryDirectory(prefix=_UNFINISHED, dir=cache) as folder:
        _lm_eval(arguments(evaluation, Path(folder)))
        keep(evaluation, Path(folder), cache)


def arguments(evaluation: Evaluation, out: Path) -> list[str]:
    """The command line of ``lm_eval``.

    Raises:
        InputError: the model is not installed.
    """
    model, run = evaluation.model, evaluation.run
    if model.folder is None:
        raise InputError(f"{model.name} is not installed")
    here = model.folder.is_relative_to(REPOSITORY)
    where = model.folder.relative_to(REPOSITORY) if here else model.folder
    given = {"pretrained": str(where), **model.arguments}
    return [
        *("--model", "hf", "--model_args", ",".join(f"{key}={value}" for key, value in given.items())),
        *("--device", "cpu", "--batch_size", str(model.batch_size), "--limit", str(run.limit)),
        *("--include_path", str(TASKS_FOLDER), "--tasks", ",".join(run.tasks)),
        *(("--metadata", json.dumps(with_folders(run.metadata))) if run.metadata else ()),
        *("--output_path", str(out), "--log_samples"),
    ]


def _lm_eval(given: list[str]) -> None:
    from lm_eval._cli.harness import HarnessCLI

    sys.argv = ["lm_eval", *given]  # lm-eval's parser takes no other
    command = HarnessCLI()
    command.execute(command.parse_args())


def keep(evaluation: Evaluation, output: Path, cache: Path) -> None:
    """Move a run's samples into the cache, and write its results there without paths of this machine."""
    (file,) = output.glob("**/results_*.json")
    date = file.stem.removeprefix("results_")
    target = result_file(cache, evaluation)
    target.parent.mkdir(parents=True, exist_ok=True)
    for samples in file.parent.glob(f"samples_*_{date}.jsonl"):
        task = samples.stem.removesuffix(f"_{date}")
        shutil.move(samples, target.parent / f"{task}_{evaluation.stem}.jsonl")
    content = portable(read_json(file), evaluation)
    write_text(target, json.dumps(content, indent=1) + "\n")


def portable(content: dict[str, Any], evaluation: Evaluation) -> dict[str, Any]:
    """A result file of lm-eval without paths of this machine and without redundant content."""
    model = evaluation.model
    private = {"config_source", "pretrained", *model.arguments}
    tasks = {
        name: {
            **{key: config[key] for key in _KEPT_OF_TASKS if key in config},
            "metadata": {key: value for key, value in config["metadata"].items() if key not in private},
        }
        for name, config in content["configs"].items()
    }
    kept = {
        **{key: content[key] for key in _KEPT if key in content},
        "configs": tasks,
        "config": {
            **{key: content["config"][key] for key in _KEPT_OF_CONFIG if key in content["config"]},
            "model_args": {"pretrained": model.shown, **model.arguments},
        },
        "model_name": model.shown,
        "torch_version": version("torch"),
        "machine": processor_name(),
        "made_from": evaluation.made_from(),
    }
    return dict(_without_folders(kept))


def _without_folders(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _without_folders(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_without_folders(value) for value in content]
    if isinstance(content, str) and content.startswith("/"):
        path = Path(content)
        parts = path.parts
        # packages first, since the virtual environment may be in the repository
        for place in range(1, len(parts)):
            if package_folder_is(parts[place], Path(*parts[: place + 1])):
                return str(Path(*parts[place:]))
        if path.is_relative_to(REPOSITORY):
            return str(path.relative_to(REPOSITORY))
        raise InputError(f"the results name {content}, which is neither in the repository nor in a package")
    return content


def package_folder_is(name: str, folder: Path) -> bool:
    """Whether a folder is the folder of an installed package."""
    return name.isidentifier() and package_folder(name) == folder


def result_file(folder: Path, evaluation: Evaluation) -> Path:
    """The result file of an evaluation, in the cache or in the folder of committed results."""
    return folder / evaluation.report / f"results_{evaluation.stem}.json"
