"""The metrics of a run: lines of JSON that are appended during training."""

import json
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.checks import is_integer
from dataset_builders.files import read_bounded, write_text

_MAX_BYTES = 2**30
"""Maximum size of a file of lines: about five million records."""

Record = dict[str, Any]
"""One line: ``kind`` is ``train`` or ``eval``, and ``step`` is the number of steps so far."""


class MetricsLog:
    """Appends records to a file, without buffering.

    Raises:
        InputError: the file cannot be written.
    """

    def __init__(self, file: Path) -> None:
        try:
            self._stream = file.open("a", encoding="utf-8", newline="\n")
        except OSError as error:
            raise InputError(f"{file} cannot be written: {error.strerror}") from None

    def write(self, record: Record) -> None:
        """Append a record.

        Raises:
            InputError: the disk is full.
        """
        try:
            self._stream.write(json.dumps(record) + "\n")
            self._stream.flush()
        except OSError as error:
            raise InputError(f"{self._stream.name} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        self._stream.close()


def read_metrics(file: Path) -> list[Record]:
    """The records of a metrics file; a last line that was cut off is left out.

    Raises:
        InputError: the file cannot be read, or another line is not a record.
    """
    records = read_lines(file)
    for record in records:
        if not isinstance(record.get("kind"), str) or not is_integer(record.get("step")):
            raise InputError(f"{file} has a line that is not a record of metrics: it needs a kind and a step")
    return records


def read_lines(file: Path) -> list[Record]:
    """The objects in a file of JSON lines; a last line that was cut off is left out.

    Raises:
        InputError: the file cannot be read, or another line is not a JSON object.
    """
    return parse_lines(read_bounded(file, _MAX_BYTES), str(file))


def parse_lines(content: bytes, name: str) -> list[Record]:
    """The objects in the content of a file of JSON lines; a last line that was cut off is left out.

    Args:
        content: content of the file.
        name: name of the file in messages.

    Raises:
        InputError: it is not text, or a line is not a JSON object.
    """
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        raise InputError(f"{name} cannot be read: it is not text") from None
    try:
        # the text after the last newline is empty, or was cut off when the process ended
        found = [json.loads(line) for line in lines[:-1]]
    except (ValueError, RecursionError):
        raise InputError(f"{name} has a damaged line: it is not JSON") from None
    if not all(isinstance(one, dict) for one in found):
        raise InputError(f"{name} has a damaged line: it is not an object")
    return found


def remove_after(file: Path, step: int) -> None:
    """Remove the records after ``step``, before a run continues from there."""
    if file.exists():
        kept = [record for record in read_metrics(file) if record["step"] <= step]
        write_text(file, "".join(json.dumps(record) + "\n" for record in kept))
