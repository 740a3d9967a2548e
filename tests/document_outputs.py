"""Commands that documents show with their output, if they only read committed results.

    python -m tests.document_outputs

writes the present output of each into its document, e.g. after new results were committed.
"""

import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from dataset_builders.files import write_text
from synthetic_training.__main__ import main as training
from synthetic_training.figures import cost, repeats
from synthetic_training.theory.__main__ import main as theory
from tests.document_sources import DESCRIBED
from tests.import_graph import ROOT


def _plan(arguments: Sequence[str]) -> None:
    """Run ``python -m synthetic_training reproduce ... --dry-run`` without results of earlier calls."""
    if "--dry-run" not in arguments:
        raise ValueError("only the plan of a figure is printed here; pass --dry-run")
    with TemporaryDirectory() as empty, chdir(empty):
        training(["reproduce", *arguments])


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "python -m synthetic_training reproduce": _plan,
    "python -m synthetic_training.figures.repeats": repeats.main,
    "python -m synthetic_training.figures.cost": cost.main,
    "python -m synthetic_training.theory": theory,
}

_BLOCK = re.compile(r"(```\n\$ (?P<command>(?:[^\n]*\\\n)*[^\n]*)\n)(?P<output>.*?)```", re.DOTALL)


@dataclass(frozen=True)
class Shown:
    """A command with the output that a document shows.

    Attributes:
        document: path relative to the repository's root.
        command: the command on one line.
        output: the output in the document.
    """

    document: str
    command: str
    output: str


def shown_outputs() -> Iterator[Shown]:
    """The commands that can be run here, with the output that the documents show."""
    for document in DESCRIBED:
        for block in _BLOCK.finditer((ROOT / document).read_text(encoding="utf-8")):
            command = _one_line(block["command"])
            if _main_of(command):
                yield Shown(document, command, block["output"].strip())


def output_of(command: str) -> str:
    """What a command prints in the repository's folder."""
    known = _main_of(command)
    if known is None:
        raise ValueError(f"{command} is not one of {', '.join(COMMANDS)}")
    command, *filters = command.split(" | ")
    if filters not in ([], ["tail -n 1"]):
        raise ValueError(f"{filters} is not tail -n 1")
    given = command.removeprefix(known).split()
    with chdir(ROOT), redirect_stdout(io.StringIO()) as printed:
        arguments = [
            str(file) for one in given for file in (sorted(Path().glob(one)) if "*" in one else [one])
        ]
        COMMANDS[known](arguments)
    output = printed.getvalue().strip()
    return output.splitlines()[-1] if filters else output


def _main_of(command: str) -> str | None:
    return next((known for known in COMMANDS if command.startswith(known)), None)


def _one_line(command: str) -> str:
    return re.sub(r"\\\n\s*", "", command)


def main() -> None:
    """Write the present outputs into the documents."""

    def present(block: re.Match[str]) -> str:
        command = _one_line(block["command"])
        return f"{block[1]}{output_of(command)}\n```" if _main_of(command) else block[0]

    for document in DESCRIBED:
        file = ROOT / document
        text = file.read_text(encoding="utf-8")
        new = _BLOCK.sub(present, text)
        if new != text:
            write_text(file, new)
            print(f"written: {os.path.relpath(file)}; read again what it says about its numbers")


if __name__ == "__main__":
    main()
