"""From what a user asked for in ``--metadata`` to a task's documents."""

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lm_eval.utils import warning_once

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from dataset_builders.checksum import content_sha256
from lm_eval_tasks.catalog import metadata_keys
from lm_eval_tasks.released import Release

log = logging.getLogger("lm_eval.repeat_after_me")

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Built:
    """What a builder gives.

    Attributes:
        rows: the documents.
        provenance: what the results file should say of where they come from, beside the arguments.
    """

    rows: Iterable[dict[str, Any]]
    provenance: Mapping[str, str] = field(default_factory=dict)


RELEASE_KEYS = ("dataset", "dataset_revision")
"""Metadata keys of every task: a released data set to read in place of building the documents."""


@dataclass(frozen=True)
class Source:
    """Where one task's documents come from.

    Attributes:
        builder: function of keyword arguments, which are the metadata keys that the task knows.
            ``release.json`` beside its module describes the released documents.
        config: the config of a release that has the task's documents; None where no release can.
        fixed: arguments of the builder that the task itself sets.
    """

    builder: Callable[..., Built]
    config: str | None
    fixed: Mapping[str, Any]

    def documents(self, asked: Mapping[str, Any]) -> tuple[Rows, dict[str, Any]]:
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
    def keys(self) -> tuple[str, ...]:
        """The metadata keys that have a meaning here."""
        return (*self._parameters, *RELEASE_KEYS)

    @property
    def _parameters(self) -> Mapping[str, inspect.Parameter]:
        return inspect.signature(self.builder).parameters

    @property
    def _release(self) -> Release:
        return Release.beside(inspect.getfile(self.builder))

    @property
    def _defaults(self) -> dict[str, Any]:
        return {
            name: parameter.default
            for name, parameter in self._parameters.items()
            if parameter.default is not parameter.empty
        }

    def _build(self, asked: Mapping[str, Any]) -> tuple[Rows, dict[str, Any]]:
        own = {key: value for key, value in asked.items() if key in self._parameters}
        arguments = {**self._defaults, **self.fixed, **own}
        for name in self._parameters:
            if name not in arguments:
                raise InputError(f"give {name!r}, as in --metadata '{{\"{name}\": 37}}'")
        built = self.builder(**arguments)
        rows = list(built.rows)
        expected = None if own or self.config is None else self._release.sha256.get(self.config)
        if expected and content_sha256(rows) != expected:
            raise InputError(
                "the documents built here are not the benchmark's: their checksum is not the one kept "
                "with the task; reinstall repeat-after-me and what it depends on"
            )
        return rows, {**arguments, **built.provenance}

    def _read(self, asked: Mapping[str, Any]) -> tuple[Rows, dict[str, Any]]:
        if self.config is None or self.config not in self._release.sha256:
            raise InputError(
                "no release has this task's documents; leave 'dataset' out to build them here, or "
                f"take a task of a released config: {', '.join(self._release.sha256)}"
            )
        given = [key for key in asked if key in self._parameters and key != "num_docs"]
        if given:
            raise InputError(f"{given[0]!r} cannot be given beside 'dataset': a release is built already")
        rows = self._release.read(str(asked["dataset"]), self.config, asked.get("dataset_revision"))
        num_docs = asked.get("num_docs", len(rows))
        if type(num_docs) is not int or not 1 <= num_docs <= len(rows):
            raise InputError(
                f"num_docs must be an integer from 1 to {len(rows)}, all that the data set has, "
                f"not {num_docs!r}"
            )
        return rows[:num_docs], {**self._defaults, **self.fixed, **asked, "num_docs": num_docs}
