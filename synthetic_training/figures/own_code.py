"""Checks that your own models have the same code as in earlier runs of a figure."""

from collections.abc import Mapping
from pathlib import Path

from dataset_builders import InputError
from synthetic_training.config import TrainConfig
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.plan import key_of
from synthetic_training.models.code_files import class_digests
from synthetic_training.models.model_types import PACKAGES
from synthetic_training.models.registry import find_architecture
from synthetic_training.training.run_folder import RUN, changed_files, check_code


def check_own_code(ledger: Ledger, runs: Path, *, dry_run: bool) -> None:
    """Check that no model's code has changed since a run, so that no mean is over different code.

    Args:
        ledger: results and runs of the figures, whose models can be imported.
        runs: folder of the runs.
        dry_run: whether packages of models may be missing, so that their models are not checked.

    Raises:
        InputError: a file with a model's code has changed.
    """
    known: dict[tuple[str, bool], dict[str, str]] = {}

    def digests(config: TrainConfig) -> dict[str, str]:
        model = config.model, config.trust_remote_code
        if model not in known:
            found = find_architecture(config.model, trust_remote_code=config.trust_remote_code)
            known[model] = class_digests(found.model_class, found.config_class)
        return known[model]

    def is_checked(config: TrainConfig) -> bool:
        return not (dry_run and config.model.partition(":")[0] in PACKAGES)

    for stage in ledger.stages:
        planned = {run.key: run for run in stage.planned}
        for result in ledger.results(stage):
            run, before = planned.get(key_of(result)), result.get("code")
            if run is None or not isinstance(before, Mapping) or not is_checked(run.config):
                continue
            if names := changed_files(before, digests(run.config)):
                raise InputError(
                    f"{', '.join(names)} has changed since the run ({run}) in {ledger.file(stage)}; "
                    "restore the old code, or pass another --out"
                )
    for work in ledger.work():
        if (runs / work.name / RUN).is_file() and is_checked(work.run.config):
            check_code(runs / work.name, digests(work.run.config))
