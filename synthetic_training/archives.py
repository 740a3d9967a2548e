"""Archives of the files of runs: written atomically, and read as untrusted input."""

import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from dataset_builders import InputError
from dataset_builders.checks import first_line
from dataset_builders.files import atomic_file, check_folder

Wanted: TypeAlias = Callable[[tarfile.TarFile, tarfile.TarInfo], bool]

SUFFIX = ".tar.gz"
MEBIBYTE = 2**20


def archives_in(folder: Path) -> list[Path]:
    """The archives in a folder, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def check_target(folder: Path) -> None:
    """Check that the folder of ``--to`` can be written and contains no archives; nothing is created.

    Raises:
        InputError: it is not such a folder.
    """
    check_folder(folder)
    if archives_in(folder):
        raise InputError(
            f"{folder} contains archives, which are not overwritten; pass another folder with --to"
        )


def write_archive(archive: Path, root: Path, files: Iterable[Path]) -> Path:
    """Write files under their names relative to ``root``, and return the archive.

    Raises:
        InputError: a file cannot be read, or the archive cannot be written.
    """
    with atomic_file(archive) as stream, tarfile.open(fileobj=stream, mode="w:gz") as content:
        for file in files:
            content.add(file, str(file.relative_to(root)))
    return archive


@contextmanager
def open_archive(archive: Path) -> Iterator[tarfile.TarFile]:
    """Open an archive for reading.

    Raises:
        InputError: the file is missing, damaged or not an archive, even if this is noticed only while the
            block reads it.
    """
    try:
        with tarfile.open(archive, "r:gz") as content:
            yield content
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise InputError(f"{archive} cannot be unpacked: {reason}") from None


def extract(
    archives: Iterable[Path], folder: Path, prefix: str = "", *, wanted: Wanted | None = None
) -> None:
    """Unpack archives into a folder, after ``check_members``.

    Args:
        archives: the archives.
        folder: the folder; created if it does not exist.
        prefix: start of the names that are unpacked.
        wanted: function that says whether a member is unpacked; None to unpack all of them.

    Raises:
        InputError: an archive is damaged, or a member is refused.
    """
    archives = list(archives)
    check_members(archives, folder, prefix)
    for archive in archives:
        with open_archive(archive) as content:
            members = [member for member in content.getmembers() if member.name.startswith(prefix)]
            members = [member for member in members if wanted is None or wanted(content, member)]
            content.extractall(folder, members, filter="data")


def check_members(archives: Iterable[Path], folder: Path, prefix: str = "") -> None:
    """Check that ``extract`` would write only files and folders, and only in its folder; nothing is written.

    Raises:
        InputError: an archive is damaged, or a member would be written elsewhere or is of another kind.
    """
    for archive in archives:
        with open_archive(archive) as content:
            for member in content.getmembers():
                if not member.name.startswith(prefix):
                    continue
                if not (member.isfile() or member.isdir()):
                    raise InputError(f"{member.name} in {archive} is not a file")
                tarfile.data_filter(member, str(folder))
