"""``evaluate``: the accuracy of a saved model by length, as a table and as a file."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.files import read_json, write_json
from dataset_builders.string_tasks import (
    StringTask,
    documents,
    string_task,
    string_task_class,
    task_settings,
)
from dataset_builders.string_tasks.symbols import Symbols
from synthetic_training.arguments import Value, key_values, length_ranges
from synthetic_training.data.tokens import USUAL
from synthetic_training.training.run_folder import RUN

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from synthetic_training.data.strings import EvaluationBatch

log = logging.getLogger(__name__)

_MEANS = ("string_accuracy", "letter_accuracy", "exact_match")


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure the accuracy of a trained model on strings of each length."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """The folder of a run, of one of its checkpoints, or of any model over the same symbols."""
    task: str | None = None
    """String task, such as copy (default: the one that the model was trained on, with its settings)."""
    lengths: Annotated[tuple[int, ...], length_ranges] = (10, 20, 50, 100)
    """String lengths in letters, as numbers or ranges that include their end, such as 20:120:20."""
    num_examples: int = 500
    """Examples of each length."""
    documents: Literal["fresh", "benchmark"] = "fresh"
    """benchmark: the documents of lm-eval's string tasks, whose spelling is symbols."""
    generate: bool = False
    """Generate the answers greedily; otherwise, one pass over the right ones."""
    batch_size: int = 64
    """Examples that are read at once."""
    vocabulary: int | None = None
    """Number of different letters (default: that of training)."""
    n: int | None = None
    """Length of the n-gram tasks' key in letters (default: that of training)."""
    k: int | None = None
    """Length of the answer in letters (default: that of training)."""
    task_args: Annotated[dict[str, Value], key_values] = field(default_factory=dict)
    """Other settings of the string task, such as name=2."""
    seed: int = 0
    """Of the examples."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU where there is one."""
    out: Path | None = None
    """A new JSON file for the result."""
    imports: Annotated[tuple[str, ...], tyro.conf.arg(name="import")] = ()
    """Packages that register the model's type, such as fla."""
    trust_remote_code: bool = False
    """Run the Python code that the model's folder carries."""


def evaluate(config: EvaluateConfig) -> dict[str, Any]:
    """Measure; write the result where one was asked for, and return it.

    Returns:
        ``config``; ``training``, the settings that the model was trained with, or None; ``results``, a
        ``LengthScore`` as a dict for each length; and what ``provenance`` says.

    Raises:
        InputError: the checkpoint is none, a value is out of range, or the file is there already.
    """
    if config.out is not None:
        _make_room(config.out)
    check_integer("num_examples", config.num_examples, 2)
    check_integer("batch_size", config.batch_size, 1)
    folder = model_folder(config.checkpoint)
    trained = _trained_as(folder)
    if trained and trained.get("task") == "documents":
        raise InputError(f"the model in {folder} was trained on documents of bytes; {_ask_lm_eval(folder)}")
    from synthetic_training.models.user_code import import_packages

    import_packages(config.imports)
    tasks = _tasks(config, trained)

    from dataset_builders.string_tasks.sampling import longest_example
    from synthetic_training.evaluation.accuracy import forced_answers, generated_answers, length_score
    from synthetic_training.provenance import provenance
    from synthetic_training.training.checkpoint import window
    from synthetic_training.training.device import resolve_device

    model = load_symbol_model(folder, tasks[0].symbols, trust_remote_code=config.trust_remote_code)
    model = model.to(resolve_device(config.device)).eval()
    answer = generated_answers if config.generate else forced_answers
    results, room = [], window(model)
    for task in tasks:
        length = task.max_length
        if room is not None and room < longest_example(task):
            log.warning("strings of %d letters go beyond the model's window of %d tokens", length, room)
        results.append(length_score(model, length, _batches(config, task, model.device), answer))
    content = {
        "kind": "evaluation",
        "config": _settings(config, tasks[0], (trained or {}).get("n", 3)),
        "training": trained,
        "results": [asdict(result) for result in results],
        **provenance(),
    }
    if config.out is not None:
        write_json(config.out, content)
    return content


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """``evaluate``'s results as a Markdown table: a mean ± its standard error."""
    from tabulate import tabulate

    headers = ["length", "examples", *(mean.replace("_", " ") for mean in _MEANS)]
    lines = [
        [r["length"], r["asked"], *(f"{r[m]:.3f} ± {r[f'{m}_stderr']:.3f}" for m in _MEANS)] for r in results
    ]
    return tabulate(lines, headers, tablefmt="github", disable_numparse=True)


def model_folder(folder: Path) -> Path:
    """Where the model of a run, or of a checkpoint, is.

    Raises:
        InputError: there is none.
    """
    for candidate in (folder, folder / "model"):
        if (candidate / "config.json").is_file():
            return candidate
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; name that of a run or of a checkpoint")
    raise InputError(f"{folder} holds no model: it has neither config.json nor model/config.json")


def load_symbol_model(
    folder: Path, symbols: Symbols = USUAL, *, trust_remote_code: bool = False
) -> "PreTrainedModel":
    """A saved model that reads these symbols, in float32.

    Raises:
        InputError: it cannot be loaded, carries code that is not trusted, its weights are incomplete or not
            finite, or it reads other symbols.
    """
    from synthetic_training.models.saved import load_model

    model = load_model(folder, trust_remote_code=trust_remote_code)
    if model.config.vocab_size != symbols.size:
        raise InputError(
            f"the model in {folder} reads {model.config.vocab_size} tokens, not the {symbols.size} symbols "
            f"of the task; {_ask_lm_eval(folder)}"
        )
    return model


def _ask_lm_eval(folder: Path) -> str:
    return f"ask it through lm-eval, as in lm_eval --model hf --model_args pretrained={folder}"


def _trained_as(folder: Path) -> dict[str, Any] | None:
    """The settings that the model was trained with, where they are there."""
    file = folder / RUN
    if not file.is_file():
        return None
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise InputError(f"{file} is damaged: it holds no settings")
    settings: dict[str, Any] = content["config"]
    return settings


def _tasks(config: EvaluateConfig, trained: Mapping[str, Any] | None) -> list[StringTask]:
    """The task at each length; what is not given is as the model was trained."""
    if not config.lengths:
        raise InputError("there is no length to evaluate; pass --lengths, such as --lengths 10 20")
    trained = trained or {}
    name = config.task or trained.get("task", "copy")
    vocabulary = config.vocabulary or trained.get("vocabulary", 26)
    kept = {**(trained.get("task_args") or {}), **{key: trained.get(key) for key in ("n", "k")}}
    if name != trained.get("task"):
        # the key's length alone means the same in another task
        kept = {"n": kept["n"]}
    own = task_settings(string_task_class(name))
    given = {key: value for key in ("n", "k") if (value := getattr(config, key)) is not None}
    settings = {key: value for key, value in kept.items() if key in own} | given | config.task_args
    return [string_task(name, length, length, vocabulary, settings) for length in config.lengths]


def _settings(config: EvaluateConfig, task: StringTask, n: int) -> dict[str, Any]:
    """The configuration as JSON can hold it, with what was taken from the training run, such as its n."""
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


def _make_room(file: Path) -> None:
    if file.exists():
        raise InputError(f"{file} exists; results are not overwritten, so name another file")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{file.parent} cannot be written: {error.strerror}") from None
