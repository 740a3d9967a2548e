"""The runs of ``paper``: one lm-eval run per model and experiment, in a folder named after its settings.

::

    OUT/runs/MODEL-EXPERIMENT-HASH/   lm-eval's results and samples of a complete run
    OUT/logs/MODEL-EXPERIMENT-HASH.log
    OUT/unfinished/                   answers of interrupted runs, from which they continue
    OUT/EXPERIMENT.png, .svg, OUT/paper.md
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.paper.experiments import Experiment, experiments
from lm_eval_tasks.paper.model_files import folder_checksum
from lm_eval_tasks.paper.model_list import Dtype, Model


@dataclass(frozen=True)
class Run:
    """One model on one experiment.

    Attributes:
        metadata: lm-eval's ``--metadata`` for this experiment.
        limit: lm-eval's ``--limit``; None for all documents.
    """

    model: Model
    experiment: Experiment
    metadata: Mapping[str, Any]
    limit: int | None

    @property
    def name(self) -> str:
        """Name of the run's folder: model, experiment, and a hash of all settings that change the results.

        The hash of a local model includes the files in its folder, because it may be trained again there.
        """
        folders = [folder_checksum(one) for one in (self.model.pretrained, self.model.tokenizer) if one]
        content = [
            self.model.backend,
            self.model_arguments,
            self.experiment.tasks,
            self.experiment.benchmark.version,
            dict(self.metadata),
            self.limit,
            *(one for one in folders if one is not None),
        ]
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return f"{self.model.name}-{self.experiment.name}-{digest[:10]}"

    def __str__(self) -> str:
        return f"{self.model.name} on {self.experiment.name}"

    @property
    def model_arguments(self) -> dict[str, Any]:
        """lm-eval's ``--model_args``."""
        model = self.model
        found = {
            "pretrained": model.pretrained,
            "revision": None if model.backend == "mamba_ssm" else model.revision,
            "dtype": model.dtype,
            "max_length": model.window,
            "tokenizer": model.tokenizer,
            "add_bos_token": model.add_bos_token,
        }
        return {name: value for name, value in found.items() if value is not None}

    def arguments(self, device: str, output: Path, cache: Path) -> list[str]:
        """The command-line arguments of ``lm_eval``.

        Args:
            device: a device such as ``cuda:0``.
            output: folder for results and samples.
            cache: start of the name of the file of answers, from which an interrupted run continues.
        """
        words = ["--model", self.model.backend, "--model_args", json.dumps(self.model_arguments)]
        words += ["--include_path", str(TASKS_FOLDER), "--tasks", self.experiment.name]
        words += ["--batch_size", str(self.model.batch_size), "--device", device]
        if self.metadata:
            words += ["--metadata", json.dumps(dict(self.metadata))]
        if self.limit is not None:
            words += ["--limit", str(self.limit)]
        return [*words, "--log_samples", "--output_path", str(output), "--use_cache", str(cache)]


@dataclass(frozen=True)
class Files:
    """The paths of the files in one output folder.

    Attributes:
        out: output folder given by the user.
    """

    out: Path

    @property
    def runs(self) -> Path:
        return self.out / "runs"

    @property
    def page(self) -> Path:
        return self.out / "paper.md"

    @property
    def unfinished(self) -> Path:
        return self.out / "unfinished"

    def results(self, run: Run) -> Path:
        """Folder of a complete run; it exists only once the run is complete."""
        return self.runs / run.name

    def log(self, run: Run) -> Path:
        return self.out / "logs" / f"{run.name}.log"

    def cache(self, run: Run) -> Path:
        return self.unfinished / run.name

    def is_complete(self, run: Run) -> bool:
        return self.results(run).is_dir()


def plan(
    models: Sequence[Model], chosen: Sequence[Experiment], metadata: Mapping[str, Any], limit: int | None
) -> list[Run]:
    """All runs: each model on each experiment."""
    return [Run(model, one, one.metadata(metadata), limit) for model in models for one in chosen]


def with_complete_runs(
    runs: Sequence[Run],
    listed: Sequence[Model],
    metadata: Mapping[str, Any],
    limit: int | None,
    dtype: Dtype | None,
    files: Files,
) -> list[Run]:
    """The requested runs, and all other complete runs of the list's models with the same settings.

    Args:
        runs: the requested runs.
        listed: all models of the list.
        metadata: the user's metadata.
        limit: lm-eval's ``--limit``.
        dtype: dtype requested for all models; for models without a run in this dtype, the run in their own
            dtype is used.
        files: paths of the output folder.

    Returns:
        At most one run for each model and experiment, in their order.
    """
    requested = {(run.model.name, run.experiment.name): run for run in runs}
    settings = {run.model.name: run.model for run in runs}

    def complete(model: Model) -> list[Run]:
        every = plan([model], list(experiments().values()), metadata, limit)
        matching = [requested.get((run.model.name, run.experiment.name), run) for run in every]
        return [run for run in matching if run in runs or files.is_complete(run)]

    found = []
    for model in listed:
        if model.name in settings:
            found += complete(settings[model.name])
        else:
            changed = model if dtype is None else model.model_copy(update={"dtype": dtype})
            found += complete(changed) or complete(model)
    return found


def not_shown(runs: Sequence[Run], files: Files) -> list[str]:
    """Names of the folders of other complete runs: with other settings, or from other lists."""
    if not files.runs.is_dir():
        return []
    names = sorted(folder.name for folder in files.runs.iterdir() if not folder.name.startswith("."))
    return [name for name in names if name not in {run.name for run in runs}]


def command_line(run: Run, device: str, files: Files) -> str:
    """The shell command of a run."""
    return shlex.join(["lm_eval", *run.arguments(device, files.results(run), files.cache(run))])
