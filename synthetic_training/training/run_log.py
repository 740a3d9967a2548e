"""What a run leaves to be read: JSON files that are written whole, and metrics as lines of JSON."""

import json
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.files import write_text

METRICS = "metrics.jsonl"
RUN = "run.json"

Line = dict[str, Any]


class MetricsLog:
    """Appends lines of JSON to a file; each is there as soon as it is written."""

    def __init__(self, file: Path) -> None:
        self._stream = file.open("a", encoding="utf-8", newline="\n")

    def write(self, line: Line) -> None:
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()

    def close(self) -> None:
        self._stream.close()


def read_metrics(file: Path) -> list[Line]:
    """The lines of a metrics file; a last one that was cut off is left out.

    Raises:
        InputError: the file cannot be read, or another line is damaged.
    """
    try:
        texts = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{file} cannot be read as lines of metrics") from None
    try:
        # what follows the last newline is empty, or was cut off by the end of the process
        return [json.loads(text) for text in texts[:-1]]
    except ValueError:
        raise InputError(f"{file} has a damaged line; it is not as a run leaves it") from None


def forget_after(file: Path, step: int) -> None:
    """Keep the lines of steps up to ``step``, as they are, for a run that goes on from there."""
    if file.exists():
        kept = [line for line in read_metrics(file) if line["step"] <= step]
        write_text(file, "".join(json.dumps(line) + "\n" for line in kept))
