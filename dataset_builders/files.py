"""Atomic writing of files and folders, bounded reading of files, and checks of users' paths."""

import glob
import json
import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from dataset_builders.checks import first_line
from dataset_builders.errors import InputError

_PARTIAL = ".partial"

MAX_BYTES = 64 * 2**20
"""Maximum size of a JSON file that is read; files of this project and of lm-eval are far smaller."""

MAX_YAML_BYTES = 2**20
"""Maximum size of a YAML file that is read: PyYAML takes a second for 100 KB."""

_HEAD = 4096
"""Number of bytes at the start of a file that are searched for the mark of its writer."""

_SHOWN = 80
"""Maximum number of characters of a name in messages."""

_LONGEST_NAME = 255
"""Maximum length of the name of a file or folder in bytes, on all usual file systems."""


def user_path(name: str) -> Path:
    """The path of a name given by a user, with ``~`` expanded; it need not exist.

    ``is_file``, ``is_dir`` and ``exists`` of the returned path do not raise.

    Raises:
        InputError: the path cannot be looked up, e.g. because it is too long or in a folder that may not be
            read.
    """
    shown = repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}..."
    try:
        path = Path(name).expanduser()
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return path
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror or error}") from None
    except (RuntimeError, ValueError) as error:  # ~ of an unknown user; a null character
        raise InputError(f"{shown} is not a path: {first_line(error)}") from None
    return path


def exact_pattern(path: Path) -> str:
    """The pattern that ``load_dataset(..., data_files=...)`` takes for this local file and no other.

    ``load_dataset`` would read ``data [1]`` as a pattern of other names, and ``s3:/data`` as an address.
    """
    return glob.escape(str(path.absolute()))


def check_folder(folder: Path) -> None:
    """Check that a path is a writable folder, or that such a folder can be created; nothing is created.

    This reports problems before work whose result could not be written.

    Raises:
        InputError: the folder cannot be written.
    """
    there = folder
    try:
        while not os.path.lexists(there):
            there = there.parent
        allowed = os.access(there, os.W_OK | os.X_OK)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from None
    if not there.is_dir():
        raise InputError(f"{folder} cannot be written: {there} is not a folder")
    if not allowed:
        raise InputError(f"{folder} cannot be written: Permission denied")
    _check_names(folder, folder.parts)


def _check_names(path: Path, names: Iterable[str]) -> None:
    """Raise InputError if one of the names would be too long for a file system."""
    for name in names:
        if len(os.fsencode(name)) > _LONGEST_NAME:
            raise InputError(f"{path} cannot be written: the name {name[:_SHOWN]!r}... is too long")


def check_new_file(file: Path, option: str = "--out") -> None:
    """Check that a file for an option does not exist and can be written; nothing is created.

    Raises:
        InputError: the file exists or cannot be written.
    """
    if os.path.lexists(file):
        raise InputError(f"{file} exists; pass another file with {option}")
    check_folder(file.parent)
    _check_names(file, [partial_path(file).name])


def check_links(folder: Path, names: Iterable[str]) -> None:
    """Check that files that will be written in a folder are not links to files outside of it.

    An untrusted folder may contain links; writing to them would change files outside of it.

    Args:
        folder: the folder, which need not exist.
        names: names of files and folders in it that will be changed in place.

    Raises:
        InputError: a name is a link out of the folder.
    """
    inside = os.path.realpath(folder)  # unlike Path.resolve, it follows loops without an error
    for path in (folder / name for name in names):
        target = os.path.realpath(path)
        if path.is_symlink() and not Path(target).is_relative_to(inside):
            raise InputError(f"{path} is a link to {target}, outside of the folder; replace it with a copy")


def check_written_by_us(path: Path, mark: str, refusal: str, advice: str) -> None:
    """Check that a file to be replaced does not exist, or was written by this project.

    Args:
        path: the file.
        mark: text in the first 4 KiB of the files that this project writes.
        refusal: description of a file without the mark, which follows its name in the message.
        advice: what the user can do instead.

    Raises:
        InputError: the file does not contain the mark, or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
    except FileNotFoundError:
        return
    except NotADirectoryError:
        raise InputError(f"{path} cannot be written: {path.parent} is not a folder; {advice}") from None
    except OSError as error:
        raise InputError(f"{path} cannot be replaced: {error.strerror}; {advice}") from None
    if mark.encode() not in head:
        raise InputError(f"{path} {refusal} and is not overwritten; {advice}")


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file for writing; it appears under its name only once it is complete and on disk.

    Until then it is called ``.NAME.partial``. Only one process at a time may write a path.

    Raises:
        InputError: the disk is full or the file cannot be written; no partial file is left.
    """
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputError(f"{path} cannot be written: {path.parent} is not a folder") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        with suppress(OSError):  # e.g. if a part of the path is a file
            partial.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Fill a new folder; it appears under its name only once it is complete.

    Yields:
        An empty folder to write to.

    Raises:
        InputError: the folder cannot be written; no partial folder is left.
    """
    partial = partial_path(folder)
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        yield partial
        partial.rename(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be written: {error.strerror or error}") from None
    finally:
        if partial.exists():
            shutil.rmtree(partial, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_file(path) as file:
        file.write(text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically, indented by two spaces.

    Raises:
        InputError: the file cannot be written.
    """
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_bounded(path: Path, most: int = MAX_BYTES) -> bytes:
    """The content of a regular file of at most ``most`` bytes.

    Raises:
        InputError: the path is not a regular file, the file is larger, or it cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait forever
            raise InputError(f"{path} cannot be read: it is not a file")
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise InputError(f"{path} is larger than {most // 2**20} MiB, the maximum for such a file")
    return content


def read_json(path: Path) -> Any:
    """The content of a JSON file of at most ``MAX_BYTES``.

    Raises:
        InputError: the file cannot be read or is not JSON.
    """
    content = read_bounded(path)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is not JSON ({first_line(error)})") from None


def read_yaml(path: Path) -> Any:
    """The content of a YAML file of at most ``MAX_YAML_BYTES``, which may also be JSON.

    Raises:
        InputError: the file cannot be read, or is not YAML.
    """
    from dataset_builders.yaml_text import parse_yaml

    try:
        text = read_bounded(path, MAX_YAML_BYTES).decode()
    except UnicodeDecodeError:
        raise InputError(f"{path} cannot be read: it is not text") from None
    return parse_yaml(text, str(path))


def partial_path(path: Path) -> Path:
    """The path under which a file or folder is written before it gets its final name."""
    return path.with_name(f".{path.name}{_PARTIAL}")
