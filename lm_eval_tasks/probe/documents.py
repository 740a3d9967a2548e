"""The documents of a probe, with the same prompts and answers as lm-eval's forced tasks."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pkgutil import resolve_name
from typing import Any

from dataset_builders import InputError
from dataset_builders.benchmark import Row
from dataset_builders.checks import check_integer, did_you_mean
from dataset_builders.checksum import content_sha256
from dataset_builders.registry import resolve
from lm_eval_tasks.results.known_tasks import benchmarks, task_config, task_configs
from lm_eval_tasks.task_documents import TaskDocuments
from lm_eval_tasks.twins import FORCED


@dataclass(frozen=True)
class ProbeTask:
    """A forced task with its documents.

    Attributes:
        name: name of the task without ``_forced``, e.g. ``phone_book_20``.
        config: the task's configuration, with the metadata that lm-eval would record.
        rows: the documents.
        targets: the text that is scored after the prompt, for each document.
    """

    name: str
    config: Mapping[str, Any]
    rows: Sequence[Row]
    targets: Sequence[str]


def probe_tasks(names: Sequence[str], num_docs: int, metadata: Mapping[str, Any]) -> list[ProbeTask]:
    """Build the documents of tasks.

    Args:
        names: names of tasks that have a forced twin, with any length, e.g. ``phone_book_37``.
        num_docs: documents per task; they are the first documents of lm-eval's task.
        metadata: other arguments of the documents, as in lm-eval's ``--metadata``.

    Raises:
        InputError: there is no such forced task, a value is out of range, or a source cannot be read.
    """
    check_names(names)
    check_integer("num_docs", num_docs, 2)
    if "num_docs" in metadata:
        raise InputError("pass num_docs as a separate argument, not in metadata")
    arguments = {**metadata, "num_docs": num_docs}
    return [_task(name.removesuffix(FORCED), arguments) for name in dict.fromkeys(names)]


def check_names(names: Sequence[str]) -> None:
    """Check that every name refers to a task with a forced twin and one question per document.

    Raises:
        InputError: a name does not, or there are no names.
    """
    if isinstance(names, str) or not names:
        raise InputError(f"tasks must be a list of names such as ['phone_book_20'], not {names!r}")
    for name in names:
        short = str(name).removesuffix(FORCED)
        config = task_config(f"{short}{FORCED}")
        if config is None or short.endswith("_n"):
            raise _unknown_name(short)
        if not _has_one_question(config):
            raise InputError(f"{short} has several questions per document, but a probe scores only one")


def _unknown_name(name: str) -> InputError:
    """The error about a name that is not the name of a task with a forced twin."""
    unforced = next((one for one in _unforced() if name.startswith(one)), None)
    if unforced is not None:
        return InputError(f"{unforced} has no forced tasks, and a probe scores only forced tasks")
    lengths = _forced_lengths()
    sentence = f"there is no forced task {name!r}"
    series = [one for one in lengths if name == one or name.startswith(f"{one}_")]
    if series:
        longest = max(series, key=len)
        known = ", ".join(map(str, lengths[longest]))
        return InputError(
            f"{sentence}; write a length into the name, as in {longest}_{lengths[longest][0]}: {longest} has "
            f"the lengths {known}, and takes any other"
        )
    number = name.rpartition("_")[2]  # any length is valid, so only the benchmark is misspelt
    guess = did_you_mean(
        name, (f"{one}_{number if number.isdecimal() else own[0]}" for one, own in lengths.items())
    )
    return InputError(f"{sentence}{guess or '; a name is a benchmark with a length, as in phone_book_20'}")


def _forced_lengths() -> dict[str, Sequence[Any]]:
    """The lengths of the benchmarks whose forced tasks take any length, by the name before the length."""
    return {
        name.removesuffix(f"_n{FORCED}"): resolve(config["dataset_path"]).lengths.all
        for name, config in task_configs().items()
        if name.endswith(f"_n{FORCED}") and _has_one_question(config)
    }


def _has_one_question(config: Mapping[str, Any]) -> bool:
    return resolve(config["dataset_path"]).evaluation.questions is None


def _unforced() -> set[str]:
    """The benchmarks without forced tasks."""
    return {one for one in benchmarks() if f"{one.removesuffix(FORCED)}{FORCED}" not in benchmarks()}


def _task(name: str, arguments: Mapping[str, Any]) -> ProbeTask:
    config = dict(task_config(f"{name}{FORCED}") or {})
    benchmark = resolve(config["dataset_path"])
    length = benchmark.lengths.parse(name.rpartition("_")[2])[0]
    fixed = {**(config.get("dataset_kwargs") or {}), **benchmark.lengths.arguments(length)}
    source = TaskDocuments(benchmark, benchmark.config_name(fixed), fixed)
    try:
        rows, recorded = source.documents(arguments)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    config["metadata"] = {
        **config["metadata"],
        **recorded,
        "length": length,
        "documents_sha256": content_sha256(rows),
        "repeat_after_me": version("repeat-after-me"),
    }
    target = _target(config["doc_to_target"])
    return ProbeTask(name, config, rows, [target(row) for row in rows])


def _target(name: str) -> Callable[[Row], str]:
    """The function that returns a document's target; ``name`` is a function's dotted name or a column."""
    if "." not in name:
        return lambda row: str(row[name])
    found: Callable[[Row], str] = resolve_name(name)
    return found
