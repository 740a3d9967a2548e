"""Registers this package's tasks in lm-eval's folder, so that it finds them by name.

lm-eval up to 0.4.13 looks for tasks only in its own folder and in ``--include_path``. ``register`` writes
one folder of stub files there, each of which includes one file of this package. A later lm-eval that
finds plugins by their entry point needs no stubs.
"""

import shutil
import tempfile
from pathlib import Path

import lm_eval.tasks
from lm_eval.tasks import TaskManager

from dataset_builders import InputError
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.catalog import task_files

STUBS = Path(lm_eval.tasks.__file__).parent / "repeat_after_me"
_MARK = "# written by `python -m lm_eval_tasks register`; `unregister` removes this folder\n"
_INSTEAD = 'use --include_path "$(python -m lm_eval_tasks path)" instead'


def register() -> str:
    """Write the stubs, unless they exist or lm-eval finds the tasks without them; return a sentence about it.

    Raises:
        InputError: another task has one of the names, or lm-eval's folder cannot be written.
    """
    _refuse_a_folder_of_others()
    wanted = {f"{entry.name}.yaml": f"{_MARK}include: {entry.file}\n" for entry in task_files()}
    if STUBS.exists() and _read(STUBS) == wanted:
        return f"already registered: {len(wanted)} tasks and groups in {STUBS}"
    found = {
        name: Path(found.yaml_path).resolve()
        for name, found in TaskManager().task_index.items()
        if found.yaml_path is not None and not Path(found.yaml_path).is_relative_to(STUBS)
    }
    for entry in task_files():
        if entry.name in found and not found[entry.name].is_relative_to(TASKS_FOLDER.resolve()):
            raise InputError(
                f"lm-eval already has a task {entry.name!r}, in {found[entry.name]}; nothing was "
                f"registered; {_INSTEAD}"
            )
    if all(entry.name in found for entry in task_files()):
        return "nothing to do: this version of lm-eval finds the tasks by itself"
    try:
        _replace(wanted)
    except OSError as error:
        raise InputError(
            f"lm-eval's folder {STUBS.parent} cannot be written ({error.strerror}); {_INSTEAD}"
        ) from None
    return f"registered {len(wanted)} tasks and groups in {STUBS}"


def unregister() -> str:
    """Remove the stubs; return a sentence about it.

    Raises:
        InputError: lm-eval's folder cannot be written, or the folder contains other files.
    """
    if not STUBS.exists():
        return "nothing to do: not registered"
    _refuse_a_folder_of_others()
    try:
        shutil.rmtree(STUBS)
    except OSError as error:
        raise InputError(f"{STUBS} cannot be removed: {error.strerror}") from None
    return f"unregistered: {STUBS} was removed"


def _read(folder: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in folder.glob("*.yaml")}


def _refuse_a_folder_of_others() -> None:
    for file in STUBS.glob("*"):
        if file.suffix != ".yaml" or not file.read_text().startswith(_MARK):
            raise InputError(f"{file} was not written by `register`; move it away first")


def _replace(files: dict[str, str]) -> None:
    """Replace the folder of stubs atomically."""
    new = Path(tempfile.mkdtemp(prefix=".repeat_after_me-", dir=STUBS.parent))
    try:
        for name, text in files.items():
            (new / name).write_text(text)
        new.chmod(0o755)
        if STUBS.exists():
            shutil.rmtree(STUBS)
        new.rename(STUBS)
    except OSError:
        shutil.rmtree(new, ignore_errors=True)
        raise
