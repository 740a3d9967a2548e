"""The ``pack`` command: writes models and results into a few archives of limited size.

::

    TO/LABEL.tar.gz     run.json, metrics.jsonl and model/ of one model's runs, the best seed first
    TO/results.tar.gz   results, plots, tables, logs, and the metrics of all runs, including the sweep's
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from dataset_builders import InputError
from synthetic_training.archives import MEBIBYTE, SUFFIX, check_target, extract, write_archive
from synthetic_training.bundled.recipe import TRIO, best_run
from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import grouped
from synthetic_training.training.run_folder import METRICS, MODEL, RUN

_RESULTS = "results"


def pack(out: Path, to: Path, scale: str, largest: float) -> list[Path]:
    """Write the archives, and return their paths.

    Args:
        out: the output folder of ``train``.
        to: output folder, created if it does not exist.
        scale: scale of the figure.
        largest: maximum size of an archive in MiB. Seeds that do not fit are left out, the worst first.

    Raises:
        InputError: there is nothing to pack, not even one model fits, or ``to`` contains archives.
    """
    if not out.is_dir():
        raise InputError(f"{out} is not a folder; pass the output folder of train")
    check_target(to)
    results = read_results(out / f"{TRIO}_{scale}.jsonl")
    if not results:
        raise InputError(f"{out} has no {TRIO}_{scale}.jsonl; pass the output folder of train")
    for result in results:
        for part in (MODEL, METRICS, RUN):
            if not (needed := out / "runs" / result["run"] / part).exists():
                raise InputError(f"{needed} is missing; pass the output folder of train")
    archives = []
    try:
        for label, own in grouped(results, lambda result: str(result["label"])).items():
            archives.append(_pack_model(to / f"{label}{SUFFIX}", out, _best_first(own), largest))
    except InputError:
        for archive in archives:
            archive.unlink()
        raise
    return [write_archive(to / f"{_RESULTS}{SUFFIX}", out, _small_files(out)), *archives]


def unpack(archives: Iterable[Path], into: Path) -> None:
    """Extract archives of ``pack`` into one folder, which then has the files of ``train`` but no checkpoints.

    Raises:
        InputError: an archive is damaged, or would be unpacked outside of the folder; nothing is written.
    """
    extract(archives, into)


def _best_first(results: list[Result]) -> list[Result]:
    ordered, rest = [], list(results)
    while rest:
        ordered.append(best_run(rest))
        rest.remove(ordered[-1])
    return ordered


def _pack_model(archive: Path, out: Path, results: list[Result], largest: float) -> Path:
    for count in range(len(results), 0, -1):
        folders = [out / "runs" / result["run"] for result in results[:count]]
        write_archive(archive, out, [file for folder in folders for file in _model_files(folder)])
        if archive.stat().st_size <= largest * MEBIBYTE:
            return archive
    archive.unlink()
    raise InputError(f"one {results[0]['label']} is larger than {largest} MiB; pass a larger --largest")


def _model_files(folder: Path) -> Iterator[Path]:
    yield from (folder / RUN, folder / METRICS)
    yield from sorted(file for file in (folder / MODEL).iterdir() if file.is_file())


def _small_files(out: Path) -> Iterator[Path]:
    """All files except those of models."""
    for kind in ("jsonl", "yaml", "md", "png", "svg"):
        yield from sorted(out.glob(f"*.{kind}"))
    yield from sorted((out / "runs").glob("*.log"))
    for name in (RUN, METRICS):
        yield from sorted((out / "runs").glob(f"*/{name}"))
