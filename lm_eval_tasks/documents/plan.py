"""The content of ``runs.yml``: reports, their runs, and the models to evaluate."""

import hashlib
import importlib.util
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from dataset_builders import InputError
from dataset_builders.checks import first_problem
from dataset_builders.files import read_json, read_yaml

REPOSITORY = Path(__file__).parents[2]
RUNS = Path(__file__).with_name("runs.yml")
BUNDLED = "bundled"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Run(_Part):
    """One run of ``lm_eval``, for each model of a report."""

    tasks: tuple[str, ...]
    metadata: dict[str, Any] = {}
    limit: int


class Report(_Part):
    """Runs that are evaluated together and shown in one file.

    ``of`` names one or several packaged models, or all bundled models. ``pictures`` maps the report's plots
    to the files to which they are copied; ``pages`` maps runs to screenshots of their leaderboards.
    """

    of: str | tuple[str, ...]
    runs: dict[str, Run]
    pictures: dict[str, str] = {}
    pages: dict[str, str] = {}


class _Packaged(_Part):
    hub: str
    package: str
    arguments: dict[str, str]
    batch_size: int


class _Plan(_Part):
    bundled: str
    batch_size: int
    packaged: dict[str, _Packaged]
    reports: dict[str, Report]


@dataclass(frozen=True)
class Model:
    """A model that is evaluated.

    Attributes:
        name: short name, part of the names of the model's files.
        shown: name in results: the model's folder in the repository, or its name on the Hub.
        folder: the model's folder; None if its package is not installed.
        arguments: ``--model_args`` of lm-eval, except the folder.
        batch_size: ``--batch_size`` of lm-eval.
        package: package that contains the model, if it is not in the repository.
    """

    name: str
    shown: str
    folder: Path | None
    arguments: dict[str, str]
    batch_size: int
    package: str | None = None

    def weights(self) -> str | None:
        """SHA-256 of the file of weights; None if the model is not installed.

        Raises:
            InputError: the file does not exist.
        """
        if self.folder is None:
            return None
        file = self.folder / self.arguments.get("gguf_file", "model.safetensors")
        if not file.is_file():
            raise InputError(f"{file} does not exist")
        return _sha256(file, file.stat().st_mtime_ns)


@cache
def _sha256(file: Path, _changed: int) -> str:
    """Checksum of a file, cached until the file changes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Evaluation:
    """A run of one model for a report."""

    report: str
    name: str
    run: Run
    model: Model

    @property
    def stem(self) -> str:
        """The part of the result file's name after ``results_``, without extension."""
        return f"{self.model.name}_{self.name}"

    def made_from(self) -> dict[str, Any]:
        """The weights' checksum and the settings that determine the results; None for missing weights."""
        return {"weights_sha256": self.model.weights(), **self.run.model_dump(mode="json")}

    def matches(self, file: Path) -> bool:
        """Whether a result file is from these weights and settings; missing weights are not compared."""
        if not file.is_file():
            return False
        mine, made_from = self.made_from(), read_json(file).get("made_from", {})
        if mine["weights_sha256"] is None:
            mine["weights_sha256"] = made_from.get("weights_sha256")
        return bool(mine == made_from)


class Plan:
    """The content of ``runs.yml``."""

    def __init__(self, file: Path = RUNS, repository: Path = REPOSITORY) -> None:
        try:
            self._plan = _Plan.model_validate(read_yaml(file))
        except ValidationError as error:
            raise InputError(f"{file}: {first_problem(error)}") from None
        self.repository = repository

    @property
    def reports(self) -> dict[str, Report]:
        """The reports by name."""
        return self._plan.reports

    def bundled(self) -> list[Model]:
        """The models in the repository."""
        folders = sorted(file.parent for file in (self.repository / self._plan.bundled).glob("*/config.json"))
        return [
            Model(folder.name, f"{self._plan.bundled}/{folder.name}", folder, {}, self._plan.batch_size)
            for folder in folders
        ]

    def models(self, report: Report) -> list[Model]:
        """The models of a report."""
        if report.of == BUNDLED:
            return self.bundled()
        return [self._packaged(name) for name in ([report.of] if isinstance(report.of, str) else report.of)]

    def _packaged(self, name: str) -> Model:
        if name not in self._plan.packaged:
            raise InputError(f"{RUNS.name} has no model {name!r}")
        own = self._plan.packaged[name]
        folder = package_folder(own.package)
        return Model(name, own.hub, folder, dict(own.arguments), own.batch_size, own.package)

    def evaluations(self, name: str) -> Iterator[Evaluation]:
        """The runs of a report, for each of its models."""
        report = self.reports[name]
        for model in self.models(report):
            for run_name, run in report.runs.items():
                yield Evaluation(name, run_name, run, model)


def package_folder(name: str) -> Path | None:
    """The folder of an installed package; None if it is not installed."""
    found = importlib.util.find_spec(name)
    return Path(found.submodule_search_locations[0]) if found and found.submodule_search_locations else None


def with_folders(metadata: Any) -> Any:
    """Metadata in which ``{NAME}`` is replaced by the folder of the installed package.

    Raises:
        InputError: a package is not installed.
    """
    if isinstance(metadata, dict):
        return {key: with_folders(value) for key, value in metadata.items()}
    if not isinstance(metadata, str):
        return metadata

    def folder(found: re.Match[str]) -> str:
        path = package_folder(found[1])
        if path is None:
            raise InputError(f"the package {found[1]!r} is not installed; run `make documents`")
        return str(path)

    return re.sub(r"\{(\w+)\}", folder, metadata)
