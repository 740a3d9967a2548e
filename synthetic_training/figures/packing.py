"""Moving results between machines: ``pack`` them on the machine with GPUs, ``merge`` them on your own.

::

    python -m synthetic_training.figures.packing pack reproduced --to $OUT
    python -m synthetic_training.figures.packing merge PACKED/*.tar.gz --into RESULTS

``pack`` writes a few archives of limited size:

::

    TO/results.tar.gz          results, runs that were cut off, and settings, metrics and logs of all runs
    TO/unfinished_NAME.tar.gz  the last checkpoint of a run that was cut off, if it fits

A checkpoint of the paper's size takes 1.8 GB and does not fit; ``reproduce --whole-runs`` starts no run that
would need one. ``merge`` adds the results to those in a folder, and updates its plots and tables. With
``--runs``, it also extracts the rest, for ``reproduce --resume``. Without archives, it draws the plots and
tables of the folder again.
"""

import json
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated

import tyro

from dataset_builders import InputError
from dataset_builders.checks import check_integer, check_positive
from dataset_builders.command_line import check_command, command_errors
from dataset_builders.files import check_folder, write_text
from synthetic_training.archives import (
    MEBIBYTE,
    SUFFIX,
    check_members,
    check_target,
    extract,
    open_archive,
    write_archive,
)
from synthetic_training.deviations.duplicates import effect_table
from synthetic_training.figures import claims, cost
from synthetic_training.figures.estimate import CUT
from synthetic_training.figures.plan import key_of
from synthetic_training.figures.progress import last_step, step_of
from synthetic_training.figures.results import checked_results, read_results, write_results
from synthetic_training.figures.stages import stage_of
from synthetic_training.training.run_folder import METRICS, MODEL, RUN
from synthetic_training.training.run_log import Record, parse_lines, read_lines

SUMMARIES: Mapping[str, Callable[[Path], str]] = {
    "claims.md": lambda folder: claims.table(claims.read_folder(folder)),
    "cost.md": cost.folder_table,
    "released_duplicates.md": lambda folder: effect_table(read_results(folder / "duplicates_paper.jsonl")),
}
"""Tables of all results in a folder, which ``merge`` updates if they exist."""

_RESULTS = f"results{SUFFIX}"
_RUNS = "runs/"


def pack(out: Path, to: Path, largest: float = 16, most: int = 8) -> list[Path]:
    """Write the archives, and return their paths.

    Args:
        out: output folder of ``reproduce``.
        to: folder for the archives, created if it does not exist.
        largest: maximum size of an archive in MiB. Logs are left out if they do not fit, then metrics.
        most: maximum number of archives.

    Raises:
        InputError: there is nothing to pack, results alone do not fit, ``to`` contains archives, or
            ``largest`` or ``most`` is not above 0.
    """
    check_positive("largest", largest)
    check_integer("most", most, least=1)
    check_target(to)
    archive = to / _RESULTS
    results = sorted(out.glob("*.jsonl"))
    if not results and not any(_last_checkpoints(out)):
        raise InputError(f"{out} contains no results; pass the output folder of reproduce")
    settings = sorted((out / "runs").glob(f"*/{RUN}"))
    metrics = sorted((out / "runs").glob(f"*/{METRICS}"))
    logs = sorted((out / "runs").glob("*.log"))
    for files in ([*results, *settings, *metrics, *logs], [*results, *settings, *metrics], results):
        write_archive(archive, out, files)
        if archive.stat().st_size <= largest * MEBIBYTE:
            break
    else:
        archive.unlink()
        raise InputError(f"the results are larger than {largest} MiB; pass a larger --largest")
    return [archive, *_pack_checkpoints(out, to, largest, most - 1)]


def _pack_checkpoints(out: Path, to: Path, largest: float, most: int) -> Iterator[Path]:
    """Write the last checkpoint of each run that was cut off, the run with most steps first."""
    for step in sorted(_last_checkpoints(out), key=lambda one: -int(one.name.removeprefix("step_"))):
        if most == 0:
            return
        run = step.parent.parent
        files = [file for file in step.iterdir() if file.is_file()]
        # weights hardly compress
        if sum(file.stat().st_size for file in files) > 1.1 * largest * MEBIBYTE:
            continue
        archive = write_archive(
            to / f"unfinished_{run.name}{SUFFIX}", out, [*files, run / RUN, run / METRICS]
        )
        if archive.stat().st_size > largest * MEBIBYTE:
            archive.unlink()
            continue
        most -= 1
        yield archive


def _last_checkpoints(out: Path) -> Iterator[Path]:
    """The last checkpoint of each run that was cut off."""
    for folder in (out / "runs").glob("*/checkpoints"):
        steps = [one for one in folder.glob("step_*") if one.name.removeprefix("step_").isdigit()]
        if steps and not (folder.parent / MODEL).exists():
            yield max(steps, key=lambda one: int(one.name.removeprefix("step_")))


def merge(archives: Sequence[Path], into: Path, runs: Path | None = None) -> list[Path]:
    """Add packed results to a folder; a new result replaces one of the same run at another learning rate.

    Args:
        archives: files from ``pack``, in the order of the calls; if there are none, all results in the folder
            are drawn again.
        into: folder of results; created if it does not exist.
        runs: output folder of ``reproduce`` that receives settings, metrics and checkpoints of runs. If a
            run has continued there since it was packed, its metrics are not overwritten.

    Returns:
        The files with new results, plots and tables.

    Raises:
        InputError: an archive or a file of results is damaged, or would be unpacked outside of ``runs``; or
            there are neither archives nor results.
    """
    if not archives and not any(into.glob("*.jsonl")):
        raise InputError(f"{into} contains no results; pass archives, or a folder with results")
    for folder in (into, runs):
        if folder is not None:
            check_folder(folder)
    # everything is read before anything is written
    found = [one for archive in archives for one in _packed_results(archive)]
    if runs is not None:
        check_members(archives, runs, _RUNS)
    changed = dict.fromkeys(Path(name).stem for name, records in found if _add(records, into / name))
    if runs is not None:
        extract(archives, runs, _RUNS, wanted=partial(_is_not_behind, runs))
    drawn = changed if archives else sorted(file.stem for file in into.glob("*.jsonl"))
    made = [file for stem in drawn for file in _show(stem, into)]
    for name, write in SUMMARIES.items():
        if drawn and (into / name).exists():
            write_text(into / name, write(into))
            made.append(into / name)
    return made


def _is_not_behind(runs: Path, content: tarfile.TarFile, member: tarfile.TarInfo) -> bool:
    """Whether unpacking a file does not overwrite the metrics of a run that has since continued in ``runs``.

    A run that continues from a later checkpoint would lack the evaluations before it.
    """
    file = runs / member.name
    stream = content.extractfile(member) if file.name == METRICS and file.exists() else None
    return stream is None or step_of(stream.read()) >= last_step(file.parent)


def _packed_results(archive: Path) -> list[tuple[str, list[Record]]]:
    """The name and the lines of each file of results in an archive."""
    found = []
    with open_archive(archive) as content:
        for member in content.getmembers():
            path = PurePosixPath(member.name)
            if len(path.parts) == 1 and path.suffix == ".jsonl":
                stream = content.extractfile(member) if member.isfile() else None
                if stream is None:
                    raise InputError(f"{archive} cannot be unpacked: {member.name} is not a file")
                where = f"{member.name} in {archive}"
                records = parse_lines(stream.read(), where)
                found.append((path.name, records if path.name == CUT else checked_results(records, where)))
    return found


def _add(new: Sequence[Record], file: Path) -> bool:
    """Add lines to a file of results, and return whether its plot and table are outdated."""
    if file.name == CUT:
        old = read_lines(file) if file.exists() else []
        both = [*old, *(one for one in new if one not in old)]
        write_text(file, "".join(json.dumps(one) + "\n" for one in both))
        return False
    known = {key_of(one): one for one in read_results(file)}
    merged = {**known, **{key_of(one): one for one in new}}
    if merged == known:
        return False
    write_results(file, merged.values())
    return True


def _show(stem: str, into: Path) -> list[Path]:
    """Draw the results of a stage of a shipped figure; results of the user's own figures are not drawn."""
    stage, file = stage_of(stem), into / f"{stem}.jsonl"
    return [file] if stage is None else [file, *stage.show(read_results(file), into)]


def _pack(out: Annotated[Path, tyro.conf.Positional], to: Path, largest: float = 16, most: int = 8) -> None:
    """Pack results, metrics and small checkpoints into archives.

    Args:
        out: Output folder of reproduce.
        to: Folder for the archives.
        largest: Maximum size of an archive in MiB.
        most: Maximum number of archives.
    """
    print("packed: " + ", ".join(map(str, pack(out, to, largest, most))))


def _merge(
    archives: Annotated[tuple[Path, ...], tyro.conf.Positional], into: Path, runs: Path | None = None
) -> None:
    """Add packed results to a folder, and draw its plots and tables.

    Args:
        archives: Files written by pack; without any, all plots and tables are drawn again.
        into: Folder of results.
        runs: Output folder of reproduce for settings, metrics and checkpoints of runs (default: not kept).
    """
    made = merge(archives, into, runs)
    print("written: " + (", ".join(map(str, made)) or "nothing new"))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``pack`` or ``merge``."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    with command_errors():
        commands: dict[str, Callable[..., None]] = {"pack": _pack, "merge": _merge}
        check_command(arguments, commands)
        tyro.extras.subcommand_cli_from_dict(
            commands, prog="python -m synthetic_training.figures.packing", args=arguments
        )


if __name__ == "__main__":
    main()
