"""The ``install`` command: copies each model's best seed into ``checkpoints/``, with its results."""

import shutil
import tempfile
from pathlib import Path

import synthetic_training
from dataset_builders import InputError
from dataset_builders.files import atomic_folder, read_json, write_json
from synthetic_training.archives import archives_in
from synthetic_training.bundled.packing import unpack
from synthetic_training.bundled.recipe import SWEEP, TRIO, best_run, write_choices
from synthetic_training.bundled.summary import write_summary
from synthetic_training.figures.figure_file import SHIPPED
from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import grouped
from synthetic_training.training.run_folder import METRICS, MODEL, RUN

PACKAGE = Path(synthetic_training.__file__).parent
RESULTS = Path("figures", "results")
CHECKPOINTS = Path("checkpoints")
TABLES = CHECKPOINTS / "results" / "training.md"
CARD = "README.md"

_PARTS = (MODEL, METRICS, RUN)
"""The files of a run that are installed."""


def install(source: Path, scale: str, package: Path = PACKAGE) -> list[Path]:
    """Copy models and results into the package, and return the folders of the models.

    Model cards are not changed. The learning rates and steps that were used are written into ``trio.yaml``.

    Args:
        source: the output folder of ``train``, or a folder with archives of ``pack``.
        scale: scale of the figures.
        package: the root of the package to write to.

    Raises:
        InputError: the folder contains no results, or one of their files is missing; nothing was changed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        archives = archives_in(source)
        if archives:
            unpack(archives, Path(temporary))
        return _install(Path(temporary) if archives else source, scale, package)


def _install(out: Path, scale: str, package: Path) -> list[Path]:
    results = read_results(out / f"{TRIO}_{scale}.jsonl")
    if not results:
        raise InputError(f"{out} has no {TRIO}_{scale}.jsonl; pass the output folder of train or pack")
    names = [f"{figure}_{scale}.{kind}" for figure in (SWEEP, TRIO) for kind in ("jsonl", "md", "png")]
    best = {label: best_run(own) for label, own in grouped(results, lambda r: str(r["label"])).items()}
    runs = [out / "runs" / result["run"] for result in best.values()]
    for needed in [*(out / name for name in names), *(run / part for run in runs for part in _PARTS)]:
        if not needed.exists():
            raise InputError(f"{needed} is missing; pass the output folder of train or pack")
    sweep = read_results(out / f"{SWEEP}_{scale}.jsonl")
    figures = package / RESULTS
    figures.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(out / name, figures / name)
    file = package / (SHIPPED / f"{TRIO}.yaml").relative_to(PACKAGE)
    steps = next(iter(best.values()))["config"]["steps"]
    rates = {label: result["config"]["lr"] for label, result in best.items()}
    write_choices(file, file, scale, rates, steps)
    folders = [_install_model(out, result, package / CHECKPOINTS / label) for label, result in best.items()]
    write_summary(package / TABLES, sweep, results)
    return folders


def _install_model(out: Path, result: Result, folder: Path) -> Path:
    run = out / "runs" / result["run"]
    with atomic_folder(folder) as new:
        shutil.copytree(run / MODEL, new, dirs_exist_ok=True)
        shutil.copyfile(run / METRICS, new / METRICS)
        # in a copy without git history, only the result contains the revision
        write_json(new / RUN, {**read_json(run / RUN), "git_revision": result["git_revision"]})
        if (folder / CARD).exists():
            shutil.copyfile(folder / CARD, new / CARD)
        if folder.exists():  # removed last, so that a failed copy loses nothing
            shutil.rmtree(folder)
    return folder
