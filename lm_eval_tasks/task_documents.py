"""From what a user asked for in ``--metadata`` to a task's documents."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lm_eval.utils import warning_once

from dataset_builders import InputError
from dataset_builders.benchmark import TOKENIZER, Benchmark, Config, Row
from dataset_builders.checks import did_you_mean
from dataset_builders.checksum import content_sha256
from dataset_builders.documents import Documents, documents
from dataset_builders.registry import benchmarks, resolve
from dataset_builders.release.checksums import known_checksums
from lm_eval_tasks.released import read_config

log = logging.getLogger("lm_eval.repeat_after_me")

RELEASE_KEYS = ("dataset", "dataset_revision")
"""Metadata keys of every task: a released data set to read in place of building the documents."""


def metadata_keys() -> frozenset[str]:
    """The metadata keys that any benchmark knows."""
    return frozenset(key for benchmark in benchmarks().values() for key in benchmark.parameters)


@dataclass(frozen=True)
class TaskDocuments:
    """Where one task's documents come from.

    Attributes:
        benchmark: its builder's parameters are the metadata keys that the task knows.
        config: the config of a release that has the task's documents; None where the length is open.
        fixed: arguments of the builder that the task itself sets.
    """

    benchmark: Benchmark
    config: str | None
    fixed: Mapping[str, Any]

    @classmethod
    def of(cls, task_config: Any) -> "TaskDocuments":
        """What the YAML file of a task says, as lm-eval's ``TaskConfig``."""
        return cls(
            resolve(task_config.dataset_path), task_config.dataset_name, task_config.dataset_kwargs or {}
        )

    def documents(self, asked: Mapping[str, Any]) -> tuple[list[Row], dict[str, Any]]:
        """The rows, and the arguments that they follow from, for the metadata that was asked for.

        Raises:
            InputError: an unknown key, a value out of range, or documents that are not the benchmark's.
        """
        self._check_keys(asked)
        if "dataset" in asked:
            return self._read(asked)
        if "dataset_revision" in asked:
            raise InputError("'dataset_revision' needs a 'dataset'")
        return self._build(asked)

    @property
    def keys(self) -> tuple[str, ...]:
        """The metadata keys that have a meaning here."""
        return (*self.benchmark.parameters, *RELEASE_KEYS)

    def _check_keys(self, asked: Mapping[str, Any]) -> None:
        free = [key for key in self.keys if key not in self.fixed]
        for key in asked:
            if key in self.fixed:
                raise InputError(
                    f"{key!r} is {self.fixed[key]!r} in this task and cannot be given; a task whose name "
                    "ends in _n, where there is one, takes any"
                )
            if key not in free and key in metadata_keys():
                warning_once(log, f"the metadata key {key!r} means nothing to some of the tasks of this run")
            elif key not in free:
                raise InputError(
                    f"unknown metadata key {key!r}{did_you_mean(key, free)} (known: {', '.join(free)})"
                )

    @property
    def _expected(self) -> str | None:
        """Checksum of the benchmark's own documents; None where it is not known."""
        return None if self.config is None else known_checksums().get(self.config)

    def _build(self, asked: Mapping[str, Any]) -> tuple[list[Row], dict[str, Any]]:
        benchmark = self.benchmark
        own = {key: value for key, value in asked.items() if key in benchmark.parameters}
        arguments = {**benchmark.defaults, **self.fixed, **own}
        for name in benchmark.argument_names:
            if name not in arguments:
                raise InputError(f"give {name!r}, as in --metadata '{{\"{name}\": 37}}'")
        sources = {name: arguments.pop(name, None) for name in benchmark.source_parameters}
        for name, source in sources.items():
            if source is not None and (not isinstance(source, str) or not source):
                raise InputError(f"{name} must be a file or a name on the Hub, not {source!r}")
        made = documents(Config(benchmark, arguments), sources)
        rows = list(made.rows)
        if not own and self._expected not in (None, content_sha256(rows)):
            raise InputError(
                "the documents built here are not the benchmark's: their checksum is not the one kept "
                "with the task; reinstall repeat-after-me and what it depends on"
            )
        defaults = {name: benchmark.parameters[name].default for name in sources}
        used = {name: source or defaults[name] for name, source in sources.items()}
        return rows, {**arguments, **used, **_provenance(benchmark, made)}

    def _read(self, asked: Mapping[str, Any]) -> tuple[list[Row], dict[str, Any]]:
        benchmark = self.benchmark
        released = [config.name for config in benchmark.configs()]
        if self.config is None:
            raise InputError(
                "no release has this task's documents; leave 'dataset' out to build them here, or "
                f"take a task of a released config: {', '.join(released)}"
            )
        given = [key for key in asked if key in benchmark.parameters and key != "num_docs"]
        if given:
            raise InputError(f"{given[0]!r} cannot be given beside 'dataset': a release is built already")
        rows = read_config(
            benchmark, str(asked["dataset"]), self.config, asked.get("dataset_revision"), self._expected
        )
        num_docs = asked.get("num_docs", len(rows))
        if type(num_docs) is not int or not 1 <= num_docs <= len(rows):
            raise InputError(
                f"num_docs must be an integer from 1 to {len(rows)}, all that the data set has, "
                f"not {num_docs!r}"
            )
        return rows[:num_docs], {**benchmark.defaults, **self.fixed, **asked, "num_docs": num_docs}


def _provenance(benchmark: Benchmark, made: Documents) -> dict[str, str]:
    """What the results file says of a source and a tokenizer that the documents depend on."""
    found = {}
    if made.source is not None:
        found = {"source_revision": made.source.revision or "", "source_sha256": made.source.sha256}
    if made.tokenizer is not None and TOKENIZER in benchmark.source_parameters:
        found["tokenizer_sha256"] = made.tokenizer.sha256
    return found
