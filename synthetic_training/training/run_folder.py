"""The folder of a run: its content, and the lock that lets only one process write to it.

::

    OUT/run.json         the settings, the package versions and the code revision
    OUT/metrics.jsonl    a record every few steps, and one for each evaluated length
    OUT/checkpoints/     the last two checkpoints, from which the run can continue
    OUT/model/           the trained model, for from_pretrained, written at the end of the run
    OUT/.lock            locked while a process trains
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dataset_builders import InputError, files
from dataset_builders.files import check_links, read_json
from synthetic_training.config import TrainConfig, differing
from synthetic_training.settings import parse_settings

RUN = "run.json"
MODEL = "model"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
_LOCK = ".lock"


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """Create the folder if it is missing, and let no other run write to it within the block.

    Raises:
        InputError: another run is writing to it, or it cannot be created.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = FileLock(out / _LOCK)
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another process is training in {out}; wait for it to end, or use another folder"
        ) from None
    except OSError as error:
        raise InputError(f"{out} cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        lock.release()


def check_folder(out: Path, config: TrainConfig, *, resume: bool) -> None:
    """Check that a run can begin in the folder, or be resumed there.

    Raises:
        InputError: the folder contains a run that has trained something, or other files, or a link to another
            folder; or, with ``resume``, it contains no run or a run with other settings.
    """
    check_links(out, (_LOCK, METRICS, CHECKPOINTS))
    if resume:
        names = differing(read_run(out), config)
        if names:
            raise InputError(
                f"the run in {out} has other settings: {', '.join(names)}; resume it without changes, or use "
                "another folder"
            )
    elif not out.exists():
        files.check_folder(out)
    elif not (out.is_dir() and _is_unused(out)):
        what = "is not empty;" if out.is_dir() else "is not a folder;"
        if (out / RUN).exists():
            what = "contains a run; pass --resume to continue it, or"
        raise InputError(f"{out} {what} use another folder")


def _is_unused(out: Path) -> bool:
    """Whether a folder is empty, or a run ended there before it had trained anything."""
    content = {file.name: file for file in out.iterdir() if file.name != _LOCK}
    if RUN in content:
        written = read_json(content.pop(RUN))
        if not isinstance(written, dict) or not {"config", "parameters", "processes"} <= written.keys():
            return False  # another program's file
        if METRICS in content and not content[METRICS].stat().st_size:
            del content[METRICS]
    return not content


def check_code(out: Path, code: Mapping[str, str]) -> None:
    """Check that a model's own code has not changed since the run in this folder began.

    Args:
        out: the run's folder.
        code: checksums from ``code_digests``.

    Raises:
        InputError: a file has changed.
    """
    content = read_json(out / RUN)
    before = content.get("code", {}) if isinstance(content, dict) else None
    if not isinstance(before, dict):
        raise InputError(f"{out / RUN} is damaged: its code is not a mapping of files to checksums")
    if names := changed_files(before, code):
        raise InputError(
            f"the model's code has changed since the run in {out} began: {', '.join(names)}; restore it, or "
            "use another folder"
        )


def changed_files(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names of the files that differ between two results of ``code_digests``."""
    return sorted(name for name in {*before, *now} if before.get(name) != now.get(name))


def read_run(out: Path) -> TrainConfig:
    """The settings of the run in a folder.

    Raises:
        InputError: there is no run, or its ``run.json`` is damaged.
    """
    if not (out / RUN).is_file():
        raise InputError(f"there is no run in {out} to continue: it has no {RUN}")
    content = read_json(out / RUN)
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise InputError(f"{out / RUN} is damaged: it contains no settings")
    return parse_settings(TrainConfig, content["config"], str(out / RUN))
