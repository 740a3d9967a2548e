"""``evaluate``: the accuracy of a saved model by length, as a table and as a file."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.command_help import DEFAULT_IN_TEXT, default_hint
from dataset_builders.files import check_new_file, read_json, write_json
from dataset_builders.string_tasks import (
    StringTask,
    documents,
    string_task,
    string_task_class,
    task_settings,
)
from dataset_builders.string_tasks.symbols import Symbols
from synthetic_training.argument_types import Value, key_values, length_ranges
from synthetic_training.config import MQAR
from synthetic_training.data.symbol_tokenizer import USUAL
from synthetic_training.training.run_folder import RUN

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from synthetic_training.data.strings import EvaluationBatch
    from synthetic_training.evaluation.accuracy import LengthScore

log = logging.getLogger(__name__)

_MEANS = ("string_accuracy", "letter_accuracy", "exact_match")


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of the evaluation."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Folder of a run, of one of its checkpoints, or of another model with the same symbols."""
    task: Annotated[str | None, DEFAULT_IN_TEXT] = None
    """String task, such as copy (default: the task and settings of training)."""
    lengths: Annotated[tuple[int, ...], length_ranges] = (10, 20, 50, 100)
    """String lengths in letters, as numbers or ranges that include their end, such as 20:120:20; for mqar,
    numbers of pairs."""
    num_examples: int = 500
    """Number of examples per length."""
    documents: Literal["fresh", "benchmark"] = "fresh"
    """fresh for new random strings, or benchmark for the documents of lm-eval's string tasks."""
    generate: bool = False
    """Generate answers greedily, instead of scoring the correct answer in one forward pass."""
    batch_size: int = 64
    """Number of examples per forward pass."""
    vocabulary: Annotated[int | None, DEFAULT_IN_TEXT] = None
    """Number of different letters in the strings (default: as in training)."""
    n: Annotated[int | None, DEFAULT_IN_TEXT] = None
    """Length of the n-gram in letters, for tasks that have one (default: as in training)."""
    k: Annotated[int | None, DEFAULT_IN_TEXT] = None
    """Length of the answer in letters (default: as in training)."""
    task_args: Annotated[dict[str, Value], key_values, DEFAULT_IN_TEXT] = field(default_factory=dict)
    """Other settings of the string task, such as name=2."""
    seed: int = 0
    """Random seed of the examples."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to evaluate on; auto uses a GPU if there is one."""
    out: Path | None = None
    """JSON file for the results; it must not exist yet."""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import", help_behavior_hint=default_hint)] = ()
    """Packages to import first, which register the model's type."""
    trust_remote_code: bool = False
    """Run the Python code in the model's folder."""


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate a model, return the result, and write it to ``config.out`` if set.

    Returns:
        ``config``; ``training``, the training settings of the model, or None; ``results``, one
        ``LengthScore`` per length as a dict; and the fields of ``provenance``.

    Raises:
        InputError: the checkpoint cannot be loaded, a value is out of range, or ``config.out`` exists.
    """
    if config.out is not None:
        check_new_file(config.out)
    check_integer("num_examples", config.num_examples, 2, 2**31)
    check_integer("batch_size", config.batch_size, 1, 2**31)
    folder = model_folder(config.checkpoint)
    trained = _trained_as(folder)
    if trained and trained.get("task") == "documents":
        raise InputError(f"the model in {folder} was trained on documents of bytes; {_use_lm_eval(folder)}")
    from synthetic_training.models.user_code import import_packages

    import_packages(config.imports)

    from synthetic_training.evaluation.mqar import mqar_scores
    from synthetic_training.provenance import provenance

    trained_on_mqar = trained is not None and trained.get("task") == MQAR and config.task in (None, MQAR)
    scores = mqar_scores if trained_on_mqar else _string_scores
    results, settings = scores(config, folder, trained or {})

    content = {
        "kind": "evaluation",
        "config": settings,
        "training": trained,
        "results": [asdict(result) for result in results],
        **provenance(),
    }
    if config.out is not None:
        write_json(config.out, content)
    return content


def _string_scores(
    config: EvaluateConfig, folder: Path, trained: Mapping[str, Any]
) -> "tuple[list[LengthScore], dict[str, Any]]":
    """Scores by string length, and the settings as JSON values, completed from the training settings."""
    tasks = _tasks(config, trained)

    import torch
    from transformers import GenerationMixin

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
    model = on_device(model, config.device)
    rows = min(config.batch_size, config.num_examples)
    for task in tasks:
        check_memory(rows, longest_example(task), task.symbols.size, model.device, "batch_size or lengths")
    answer = generated_answers if config.generate else forced_answers
    results, room = [], window(model)
    for task in tasks:
        length = task.max_length
        if room is not None and room < longest_example(task):
            log.warning("strings of %d letters exceed the model's context window of %d tokens", length, room)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=autocasts(model)):
            results.append(length_score(model, length, _batches(config, task, model.device), answer))
    return results, _settings(config, tasks[0], trained.get("n", 3))


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """The results of ``evaluate`` as a Markdown table of means with 95% confidence intervals."""
    from dataset_builders.intervals import bounded_interval, with_interval
    from dataset_builders.markdown import markdown_table

    headers = ["length", "examples", *(mean.replace("_", " ") for mean in _MEANS)]
    lines = []
    for one in results:
        ends = {m: bounded_interval(one[m], one[f"{m}_stderr"], one["num_examples"]) for m in _MEANS}
        lines.append(
            [one["length"], one["num_examples"], *(with_interval(one[m], ends[m], 3) for m in _MEANS)]
        )
    note = "Brackets: 95% confidence intervals over examples (Wilson)."
    return f"{markdown_table(headers, lines)}\n\n{note}"


def model_folder(folder: Path) -> Path:
    """The folder with the model of a run or checkpoint.

    Raises:
        InputError: the folder contains no model.
    """
    for candidate in (folder, folder / "model"):
        if (candidate / "config.json").is_file():
            return candidate
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; pass the folder of a run or checkpoint")
    if (folder / RUN).is_file():
        raise InputError(
            f"the run in {folder} is not finished; pass one of the folders in {folder / 'checkpoints'}, or "
            f"finish it with train --resume --out {folder}"
        )
    raise InputError(f"{folder} contains no model: it has neither config.json nor model/config.json")


def load_symbol_model(
    folder: Path, symbols: Symbols = USUAL, *, trust_remote_code: bool = False
) -> "PreTrainedModel":
    """A saved model with these symbols, in float32.

    Raises:
        InputError: the model cannot be loaded, contains code that is not trusted, has incomplete or
            non-finite weights, or has another vocabulary.
    """
    from synthetic_training.models.saved import load_model

    model = load_model(folder, trust_remote_code=trust_remote_code)
    if model.config.vocab_size != symbols.size:
        raise InputError(
            f"the model in {folder} has a vocabulary of {model.config.vocab_size} tokens, not the "
            f"{symbols.size} symbols "
            f"of the task; {_use_lm_eval(folder)}"
        )
    return model


def _use_lm_eval(folder: Path) -> str:
    return f"evaluate it with lm-eval, as in lm_eval --model hf --model_args pretrained={folder}"


def _trained_as(folder: Path) -> dict[str, Any] | None:
    """The training settings of the model, if known."""
    file = folder / RUN
    if not file.is_file():
        return None
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise InputError(f"{file} is damaged: it contains no settings")
    settings: dict[str, Any] = content["config"]
    for name, kinds in _USED.items():
        if name in settings and not isinstance(settings[name], kinds):
            raise InputError(f"{file} is damaged: {name} = {settings[name]!r}")
    return settings


_USED: Mapping[str, tuple[type, ...]] = {
    "task": (str,),
    "vocabulary": (int,),
    "n": (int,),
    "k": (int, NoneType),
    "task_args": (dict,),
}
"""Settings of training that an evaluation reads, and their types."""


def _tasks(config: EvaluateConfig, trained: Mapping[str, Any]) -> list[StringTask]:
    """The task at each length; settings that are not passed are taken from training."""
    if not config.lengths:
        raise InputError("there is no length to evaluate; pass --lengths, such as --lengths 10 20")
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
