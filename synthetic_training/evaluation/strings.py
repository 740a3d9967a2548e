"""``evaluate`` for models with the symbols of string tasks: accuracy by string length."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset_builders import InputError
from dataset_builders.string_tasks import (
    StringTask,
    documents,
    string_task,
    string_task_class,
    task_settings,
)
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.evaluation.saved_model import load_symbol_model

if TYPE_CHECKING:
    import torch

    from synthetic_training.data.strings import EvaluationBatch
    from synthetic_training.evaluation.accuracy import LengthScore

_LENGTHS = (10, 20, 50, 100)
"""Lengths of the strings if none are passed."""

log = logging.getLogger(__name__)


def string_scores(
    config: EvaluateConfig, folder: Path, trained: Mapping[str, Any]
) -> "tuple[list[LengthScore], dict[str, Any]]":
    """Scores by string length, and the settings as JSON values, completed from the training settings."""
    config = replace(config, lengths=config.lengths or _LENGTHS)
    tasks = evaluated_tasks(config, trained)

    import torch
    from transformers import GenerationMixin

    from dataset_builders.inference_state import lost_state
    from dataset_builders.string_tasks.sampling import longest_example
    from synthetic_training.evaluation.accuracy import forced_answers, generated_answers, length_score
    from synthetic_training.memory import check_memory
    from synthetic_training.models.sizes import window
    from synthetic_training.training.device import autocasts, on_device

    model = load_symbol_model(folder, tasks[0].symbols, trust_remote_code=config.trust_remote_code)
    if config.generate and not isinstance(model, GenerationMixin):
        raise InputError(
            f"the model in {folder} cannot generate, because {type(model).__name__} does not inherit from "
            "transformers' GenerationMixin; evaluate it without --generate"
        )
    if config.generate and (fault := lost_state(model)):
        raise InputError(
            f"the model in {folder} {fault}, so its answers would be wrong; install transformers<5.24, or "
            "evaluate it without --generate"
        )
    model = on_device(model, config.device)
    rows = min(config.batch_size, config.num_examples)
    for task in tasks:
        check_memory(rows, longest_example(task), task.symbols.size, model.device, "batch_size or lengths")
    answer = generated_answers if config.generate else forced_answers
    results, room = {}, window(model)

    def fits(task: StringTask) -> bool:
        return room is None or longest_example(task) <= room

    for task in sorted(tasks, key=fits):  # a model that cannot read beyond its window fails at once
        length = task.max_length
        if not fits(task):
            log.warning("strings of %d letters exceed the model's context window of %d tokens", length, room)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocasts(model)):
            results[length] = length_score(model, length, _batches(config, task, model.device), answer)
    return [results[task.max_length] for task in tasks], _settings(config, tasks[0], trained.get("n", 3))


def evaluated_tasks(config: EvaluateConfig, trained: Mapping[str, Any]) -> list[StringTask]:
    """The task at each length; settings that are not passed are taken from training.

    Raises:
        InputError: there is no such string task, or a length or setting is out of range.
    """
    name = config.task or trained.get("task", "copy")
    vocabulary = trained.get("vocabulary", 26) if config.vocabulary is None else config.vocabulary
    kept = {**(trained.get("task_args") or {}), **{key: trained.get(key) for key in ("n", "k")}}
    if name != trained.get("task"):
        # only the length of the key carries over to another task
        kept = {"n": kept["n"]}
    own = task_settings(string_task_class(name))
    given = {key: value for key in ("n", "k") if (value := getattr(config, key)) is not None}
    settings = {key: value for key, value in kept.items() if key in own} | given | config.task_args
    return [string_task(name, length, length, vocabulary, settings) for length in config.lengths]


def _settings(config: EvaluateConfig, task: StringTask, n: int) -> dict[str, Any]:
    """The configuration as JSON values; settings that were not passed are taken from training."""
    own = dict(task.settings)
    settings = {**asdict(config), "checkpoint": str(config.checkpoint), "task": task.name}
    settings |= {"vocabulary": task.vocabulary, "n": own.pop("n", n), "k": own.pop("k", None)}
    settings["task_args"] = own
    del settings["out"]
    return settings


def _batches(config: EvaluateConfig, task: StringTask, device: "torch.device") -> "Iterator[EvaluationBatch]":
    from synthetic_training.data.strings import batch_of_texts, evaluation_batches

    if config.documents == "fresh":
        yield from evaluation_batches(
            task, range(config.num_examples), config.batch_size, config.seed, device
        )
        return
    rows = documents.rows(
        task.name,
        task.max_length,
        config.num_examples,
        config.seed,
        "symbols",
        vocabulary=task.vocabulary,
        settings=task.settings,
    )
    while batch := list(islice(rows, config.batch_size)):
        yield batch_of_texts([(one["prompt"], one["answer"]) for one in batch], task.symbols, device)
