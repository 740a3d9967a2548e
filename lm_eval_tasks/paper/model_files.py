"""A checksum of a model's folder, so that a model that was trained again is evaluated again."""

import hashlib
from functools import cache
from pathlib import Path

_SUFFIXES = {".safetensors", ".bin", ".pt", ".json", ".model", ".txt", ".jinja", ".py"}
"""Suffixes of the files with weights, configuration, tokenizer and code."""

_END = 64 * 1024
"""Number of bytes read at each end of a file. This is enough, because training changes all weights."""


@cache
def folder_checksum(name: str) -> str | None:
    """A checksum of the files of a model or tokenizer; it does not depend on where the folder is.

    Args:
        name: a folder, or a name on the Hub.

    Returns:
        The checksum over each file's name, size, and first and last 64 KiB; None for a name on the Hub.
    """
    folder = Path(name)
    if not folder.is_dir():
        return None
    digest = hashlib.sha256()
    for file in sorted(one for one in folder.iterdir() if one.suffix in _SUFFIXES and one.is_file()):
        size = file.stat().st_size
        digest.update(f"{file.name} {size}\n".encode())
        with file.open("rb") as stream:
            digest.update(stream.read(_END))
            stream.seek(max(size - _END, 0))
            digest.update(stream.read(_END))
    return digest.hexdigest()
