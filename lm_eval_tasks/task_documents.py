"""Builds or loads a task's documents, according to the user's ``--metadata``."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from lm_eval.utils import warning_once

from dataset_builders import InputError
from dataset_builders.benchmark import TOKENIZER, Benchmark, Config, Row
from dataset_builders.checks import did_you_mean
from dataset_builders.checksum import content_sha256
from dataset_builders.config_documents import Documents, documents
from dataset_builders.machine import gibibytes, system_memory
from dataset_builders.registry import benchmarks, resolve
from dataset_builders.release.checksums import known_checksums
from lm_eval_tasks.released import read_config
from lm_eval_tasks.twins import twin_of

log = logging.getLogger("lm_eval.repeat_after_me")

RELEASE_KEYS = ("dataset", "dataset_revision")
"""Metadata keys of every task: a released data set to read instead of building the documents."""


def metadata_keys() -> frozenset[str]:
    """The metadata keys of all benchmarks."""
    return frozenset(key for benchmark in benchmarks().values() for key in benchmark.parameters)


@dataclass(frozen=True)
class TaskDocuments:
    """The source of one task's documents.

    Attributes:
        benchmark: the task's benchmark; its builder's parameters are the task's metadata keys.
        config: the released config with the task's documents; None if the length is not fixed.
        fixed: arguments of the builder that the task sets.
        twin: the suffix of the task's name, see :mod:`lm_eval_tasks.twins`.
        other_keys: metadata keys of the task that do not concern its documents.
    """

    benchmark: Benchmark
    config: str | None
    fixed: Mapping[str, Any]
    twin: str = ""
    other_keys: tuple[str, ...] = ()

    @classmethod
    def of(cls, task_config: Any, other_keys: tuple[str, ...] = ()) -> "TaskDocuments":
        """The source that a task's YAML file names, from lm-eval's ``TaskConfig``."""
        return cls(
            resolve(task_config.dataset_path),
            task_config.dataset_name,
            task_config.dataset_kwargs or {},
            twin_of(str(task_config.task)),
            other_keys,
        )

    def documents(self, user_metadata: Mapping[str, Any]) -> tuple[list[Row], dict[str, Any]]:
        """The rows for the user's metadata, and the arguments from which they were built.

        Raises:
            InputError: a key is unknown, a value is out of range, or the documents differ from the
                benchmark's.
        """
        self._check_keys(user_metadata)
        if "dataset" in user_metadata:
            return self._read(user_metadata)
        if "dataset_revision" in user_metadata:
            raise InputError("'dataset_revision' needs a 'dataset'")
        return self._build(user_metadata)

    @property
    def keys(self) -> tuple[str, ...]:
        """The metadata keys of the task."""
        return (*self.benchmark.parameters, *RELEASE_KEYS, *self.other_keys)

    def _check_keys(self, user_metadata: Mapping[str, Any]) -> None:
        free = [key for key in self.keys if key not in self.fixed]
        for key in user_metadata:
            if key in self.fixed:
                raise InputError(
                    f"{key!r} is {self.fixed[key]!r} in this task and cannot be changed; "
                    f"use {self._tasks_with_another(key)}"
                )
            if key not in free and key in metadata_keys():
                warning_once(log, f"the metadata key {key!r} has no effect on {self.benchmark.name}")
            elif key not in free:
                raise InputError(
                    f"unknown metadata key {key!r}; the keys are {', '.join(free)}{did_you_mean(key, free)}"
                )

    def _tasks_with_another(self, key: str) -> str:
        """The tasks in which a fixed argument has another value, or is free."""
        benchmark = self.benchmark
        lengths, series = benchmark.lengths, benchmark.series_of(self.fixed)
        if key not in lengths.parameters:
            return f"a task of {', '.join(benchmark.series)}"
        if lengths.any_length:
            return f"the task {series}_n{self.twin}"
        names = [benchmark.config_name({**self.fixed, **lengths.arguments(one)}) for one in lengths.all]
        return f"one of the tasks {', '.join(names)}"

    @property
    def _expected(self) -> str | None:
        """Checksum of the benchmark's documents; None if unknown."""
        return None if self.config is None else known_checksums().get(self.config)

    def _build(self, user_metadata: Mapping[str, Any]) -> tuple[list[Row], dict[str, Any]]:
        benchmark = self.benchmark
        own = {key: value for key, value in user_metadata.items() if key in benchmark.parameters}
        arguments = {**benchmark.defaults, **self.fixed, **own}
        for name in benchmark.argument_names:
            if name not in arguments:
                raise InputError(f"pass {name!r}, as in --metadata '{{\"{name}\": 37}}'")
        sources = {name: arguments.pop(name, None) for name in benchmark.source_parameters}
        for name, source in sources.items():
            if source is not None:
                _check_name(name, source, "a file or a name on the Hub")
        made = documents(Config(benchmark, arguments), sources)
        rows = _in_memory(iter(made.rows), arguments.get("num_docs"))
        if not own and self._expected not in (None, content_sha256(rows)):
            raise InputError(
                "the documents built here differ from the benchmark's: their checksum is not the known one; "
                "reinstall repeat-after-me and its dependencies"
            )
        defaults = {name: benchmark.parameters[name].default for name in sources}
        used = {name: source or defaults[name] for name, source in sources.items()}
        return rows, {**arguments, **used, **_provenance(benchmark, made)}

    def _read(self, user_metadata: Mapping[str, Any]) -> tuple[list[Row], dict[str, Any]]:
        benchmark = self.benchmark
        released = [config.name for config in benchmark.configs()]
        if self.config is None:
            raise InputError(
                "releases do not contain this task's documents; omit 'dataset' to build them locally, or "
                f"use a task of a released config: {', '.join(released)}"
            )
        given = [key for key in user_metadata if key in benchmark.parameters and key != "num_docs"]
        if given:
            raise InputError(
                f"{given[0]!r} cannot be combined with 'dataset', whose documents are already built"
            )
        dataset, revision = user_metadata["dataset"], user_metadata.get("dataset_revision")
        _check_name("dataset", dataset, "a folder or a name on the Hub")
        if revision is not None:
            _check_name("dataset_revision", revision, "a branch, tag or commit on the Hub")
        rows = read_config(benchmark, dataset, self.config, revision, self._expected)
        num_docs = user_metadata.get("num_docs", len(rows))
        if type(num_docs) is not int or not 1 <= num_docs <= len(rows):
            raise InputError(
                f"num_docs must be an integer from 1 to {len(rows)}, the size of the data set, "
                f"not {num_docs!r}"
            )
        return rows[:num_docs], {**benchmark.defaults, **self.fixed, **user_metadata, "num_docs": num_docs}


def _in_memory(rows: Iterator[Row], count: int | None) -> list[Row]:
    """The rows as a list.

    Raises:
        InputError: ``count`` rows of the size of the first do not fit into memory.
    """
    found = list(islice(rows, 1))
    size = sum(len(value) for row in found for value in row.values() if isinstance(value, str)) * (count or 1)
    memory = system_memory()
    if memory is not None and size > memory:
        raise InputError(
            f"{count} documents of this length need at least {gibibytes(size)} of memory, but this machine "
            f"has {gibibytes(memory)}; reduce num_docs"
        )
    return [*found, *rows]


def _check_name(key: str, value: object, kind: str) -> None:
    """Check that a value of the metadata is a name."""
    if not isinstance(value, str) or not value:
        raise InputError(f"{key} must be {kind}, not {value!r}")


def _provenance(benchmark: Benchmark, made: Documents) -> dict[str, str]:
    """Revision and checksums of the source and tokenizer, for the result file."""
    found = {}
    if made.source is not None:
        found = {"source_revision": made.source.revision or "", "source_sha256": made.source.sha256}
    if made.tokenizer is not None and TOKENIZER in benchmark.source_parameters:
        found["tokenizer_sha256"] = made.tokenizer.sha256
    return found
