"""The metrics of a run: lines of JSON that are appended during training."""

import json
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.files import write_text

METRICS = "metrics.jsonl"

Record = dict[str, Any]
"""One line: ``kind`` is ``train`` or ``eval``, and ``step`` is the number of steps so far."""


class MetricsLog:
    """Appends records to a file; each is in the file as soon as it is written.

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
        InputError: the file cannot be read, or another line is damaged.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{file} cannot be read as lines of metrics") from None
    try:
        # the text after the last newline is empty, or was cut off when the process ended
        return [json.loads(line) for line in lines[:-1]]
    except (ValueError, RecursionError):
        raise InputError(f"{file} has a damaged line: it is not JSON") from None


def remove_after(file: Path, step: int) -> None:
    """Keep the records up to ``step``, for a run that continues from there."""
    if file.exists():
        kept = [record for record in read_metrics(file) if record["step"] <= step]
        write_text(file, "".join(json.dumps(record) + "\n" for record in kept))
