"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from dataset_builders.errors import InputError

_PARTIAL = ".partial"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write into; it gets its name, and replaces what has it, once all is on the disk.

    Until then it stands beside, as ``.NAME.partial``. One process at a time may write a path.

    Raises:
        InputError: the disk is full, or the file cannot be written; nothing of it is left.
    """
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


def remove_partial_files(folder: Path) -> None:
    """Remove what killed processes left in a folder and the folders in it."""
    for pattern in (f".*{_PARTIAL}", f"*/.*{_PARTIAL}"):
        for partial in folder.glob(pattern):
            partial.unlink(missing_ok=True)
