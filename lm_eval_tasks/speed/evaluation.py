"""Examples per second of tasks in lm-eval, compared with one prompt at a time as in the paper's code.

    python -m lm_eval_tasks.speed.evaluation --tokenizer EleutherAI/pythia-410m --out speed.json

The model has the shape of Pythia-410M and random weights, which never end an answer: every generated answer
has 50 tokens, the worst case. Three methods are measured in one process:

- ``one at a time``: float32, batch 1, 50 new tokens without stopping, as in the code released with the
  paper;
- ``generated``: ``phone_book_n`` through ``lm_eval.simple_evaluate`` in bfloat16, with the best of the given
  batch sizes; the time includes documents, tokenization, generation and scoring;
- ``forced``: ``phone_book_n_forced``, measured in the same way.
"""

import logging
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lm_eval import simple_evaluate
from lm_eval.loggers.utils import get_git_commit_hash
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import AutoTokenizer, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from dataset_builders import InputError
from dataset_builders.checks import first_line
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json
from dataset_builders.machine import this_machine
from dataset_builders.markdown import markdown_table
from dataset_builders.phone_book import rows
from dataset_builders.sources.tokenizer import load_tokenizer
from lm_eval_tasks import TASKS_FOLDER

_PYTHIA_410M = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "max_position_embeddings": 2048,
    "vocab_size": 50304,
}
_NEW_TOKENS = 50


@dataclass(frozen=True)
class Speed:
    """Examples per second, evaluated one at a time and through lm-eval."""

    tokenizer: str
    """Tokenizer: a name on the Hub, a folder, or a tokenizer.json."""
    entries: tuple[int, ...] = (20, 100)
    """Entries per phone book."""
    num_docs: int = 2048
    """Number of documents evaluated through lm-eval."""
    single_docs: int = 16
    """Number of documents evaluated one at a time."""
    batch_sizes: tuple[int, ...] = (128, 512)
    """Batch sizes to try; the best is reported."""
    device: str = "cuda"
    """Device on which the model runs."""
    revision: str | None = None
    """Code revision to record (default: from git)."""
    out: Path | None = None
    """JSON file for the results; it must not exist."""


def main() -> None:
    """Measure, print a table, and write the results with their settings."""
    settings = cli(Speed, prog="python -m lm_eval_tasks.speed.evaluation")
    if settings.out:
        check_new_file(settings.out)
    logging.disable(logging.WARNING)

    try:
        torch.empty(0, device=settings.device)
    except (AssertionError, RuntimeError) as error:
        raise InputError(
            f"the device {settings.device!r} cannot be used: {first_line(error)}; pass --device cpu"
        ) from None
    tokenizer = _tokenizer(settings.tokenizer)
    torch.manual_seed(0)
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**_PYTHIA_410M)).eval().to(settings.device)
    measured: dict[int, dict[str, float]] = {}
    for entries in settings.entries:
        run = _one_at_a_time(model, tokenizer, entries)
        measured[entries] = {"one at a time": _rate(run, settings.single_docs, warm_up=2)}
    model = model.bfloat16()
    for entries in settings.entries:
        for way, task in (("generated", "phone_book_n"), ("forced", "phone_book_n_forced")):
            for batch_size in settings.batch_sizes:
                lm = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=batch_size)
                run = _through_lm_eval(lm, task, entries)
                try:
                    rate = _rate(run, settings.num_docs, warm_up=batch_size)
                except torch.OutOfMemoryError:
                    continue  # the batch does not fit into memory; smaller ones are still measured
                measured[entries][f"{way}, batch {batch_size}"] = rate

    print(_table(measured))
    if settings.out:
        revision = settings.revision or get_git_commit_hash()
        _write(settings.out, measured, asdict(settings) | {"revision": revision})


def _tokenizer(name: str) -> Any:
    load_tokenizer(name)  # raises InputError if it cannot be read
    if name.endswith(".json"):
        return PreTrainedTokenizerFast(tokenizer_file=name, eos_token="<|endoftext|>")
    return AutoTokenizer.from_pretrained(name)


def _rate(run: Callable[[int], object], num_docs: int, warm_up: int) -> float:
    """Examples per second over ``num_docs`` documents, including device time, after ``warm_up`` documents."""
    run(warm_up)
    _wait()
    start = time.perf_counter()
    run(num_docs)
    _wait()
    return num_docs / (time.perf_counter() - start)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _one_at_a_time(model: Any, tokenizer: Any, entries: int) -> Callable[[int], None]:
    def run(num_docs: int) -> None:
        for row in rows(entries, num_docs, seed=0):
            ids = tokenizer(row["prompt"], return_tensors="pt").to(model.device)
            new = model.generate(
                **ids, do_sample=False, min_new_tokens=_NEW_TOKENS, max_new_tokens=_NEW_TOKENS, pad_token_id=0
            )
            tokenizer.decode(new[0, ids["input_ids"].shape[1] :])

    return run


def _through_lm_eval(lm: HFLM, task: str, entries: int) -> Callable[[int], None]:
    def run(num_docs: int) -> None:
        documents = {"entries": entries, "num_docs": num_docs}
        manager = TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=documents)
        simple_evaluate(model=lm, tasks=[task], task_manager=manager, bootstrap_iters=1)

    return run


def _write(out: Path, measured: dict[int, dict[str, float]], arguments: dict[str, Any]) -> None:
    options = {key: value for key, value in arguments.items() if key != "out"}
    content = {"examples_per_second": measured, "options": options, "machine": _machine()}
    write_json(out, content)


def _table(measured: dict[int, dict[str, float]]) -> str:
    lines = []
    for entries, rates in measured.items():
        single = rates["one at a time"]
        for way in ("one at a time", "generated", "forced"):
            name = max((n for n in rates if n.startswith(way)), key=lambda n: rates[n])
            lines.append([entries, name, f"{rates[name]:.2f}", f"{rates[name] / single:.0f}x"])
    headers = ["entries", "method (best batch)", "examples/s", "ratio"]
    return markdown_table(headers, lines)


def _machine() -> dict[str, str]:
    versions = {name: version(name) for name in ("lm_eval", "torch", "transformers")}
    return {"device": this_machine(), "python": platform.python_version(), **versions}


if __name__ == "__main__":
    with command_errors():
        main()
