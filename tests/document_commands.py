"""The shell commands of the documents.

A comment before a block, which is not shown, says what its commands need: ``<!-- needs: gpu -->``, or
another of ``NEEDS``. ``<!-- run by: tests/test_x.py -->`` names a test that runs the block, and ``<!-- other
code -->`` marks commands of other projects. Without such a comment, the needs are derived from the commands
themselves.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lm_eval_tasks import TASKS_FOLDER
from tests.import_graph import ROOT

CARD_TEMPLATE = ROOT / "dataset_builders" / "release" / "card_template.md"

NEEDS = ("gpu", "server", "network", "hub", "files", "ci", "minutes")
"""A GPU, a server of a model, the network, the Hub, files of one's own, ``.ci/run``, or minutes."""

_PROGRAMS = {
    "python",
    "python3",
    "lm_eval",
    "pip",
    "make",
    "torchrun",
    "accelerate",
    "git",
    "hf",
    "cd",
    "export",
}
_FENCE = re.compile(
    r"^(?P<fence>```+)(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^(?P=fence)\s*$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!-- (?:needs: (?P<needs>\w+)|run by: (?P<test>\S+)|(?P<other>other code)) -->\s*\Z")
_PATTERNS = {
    "gpu": r"--preset (paper|released)|--scale paper|fla:|mamba_ssm|torchrun|accelerate launch"
    r"|_training\.(speed|precision)\.",
    "server": r"base_url=",
    "network": r"\bpip install|\bgit (clone|push)|\bhf auth",
    "hub": r"ORG/|EleutherAI/|state-spaces/|HuggingFaceTB/|build all|=\$model",
    "files": r"FOLDER|TEXTS|OUTPUT_DIR|FIGURE|squad\.jsonl| \.\.\. ",
    "ci": r"\bmake ",
}


@dataclass(frozen=True)
class Block:
    """A block of code in a document.

    Attributes:
        document: path relative to the repository's root.
        line: number of its first line.
        language: the language of the block; empty if it has none.
        text: the code.
        needs: what it needs to run, one of ``NEEDS``; empty if it needs nothing.
        test: the test that runs it, according to its comment.
        other: whether it is marked as code of other projects.
    """

    document: str
    line: int
    language: str
    text: str
    needs: str = ""
    test: str = ""
    other: bool = False

    def commands(self) -> list[list[str]]:
        """The words of each command; none if the block is not of commands."""
        if self.language not in ("", "sh", "bash", "console") or self.other:
            return []
        lines = re.sub(r"\\\n\s*", " ", self.text).splitlines()
        shown = [line[2:] for line in lines if line.startswith("$ ")]
        if not shown and not _is_command(lines):
            return []
        return [words for line in shown or lines for words in _split(line)]


def documents() -> list[Path]:
    """Every Markdown document of the repository, without those in folders that git ignores."""
    folders = [
        one for one in ROOT.iterdir() if one.is_dir() and not re.match(r"\.|build$|dist$|results$", one.name)
    ]
    found = [
        *ROOT.glob("*.md"),
        *ROOT.glob(".github/**/*.md"),
        *(file for one in folders for file in one.rglob("*.md")),
    ]
    return sorted(file for file in found if file.name != "card_template.md")


def blocks(document: Path) -> Iterator[Block]:
    """All blocks of code of one document."""
    text = document.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        mark = _MARK.search(text[: found.start()])
        code = found["text"]
        needs = next((what for what, pattern in _PATTERNS.items() if re.search(pattern, code)), "")
        yield Block(
            document=str(document.relative_to(ROOT)),
            line=text.count("\n", 0, found.start()) + 2,
            language=found["language"],
            text=code,
            needs=(mark and mark["needs"]) or needs,
            test=(mark and mark["test"]) or "",
            other=bool(mark and mark["other"]),
        )


def _is_command(lines: list[str]) -> bool:
    words = next((line.split() for line in lines if line.strip() and not line.startswith("#")), [""])
    return re.sub(r"^(\w+=\S+ )*", "", " ".join(words)).split(" ")[0] in {*_PROGRAMS, "for"}


def _split(line: str) -> Iterator[list[str]]:
    """The commands of one line of shell, without redirections, assignments and the words of loops."""
    line = line.replace("$(python -m lm_eval_tasks path)", str(TASKS_FOLDER))
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|<>")
    lexer.whitespace_split = True
    command: list[str] = []
    redirected = False
    for word in lexer:
        if set(word) <= set(";&|"):
            yield from _complete(command)
            command = []
        elif set(word) <= set("<>"):
            redirected = True
        elif redirected:
            redirected = False
        elif word != "...":
            command.append(word)
    yield from _complete(command)


def _complete(command: list[str]) -> Iterator[list[str]]:
    while command and (command[0] == "do" or re.match(r"[A-Z_]+=", command[0])):
        command = command[1:]
    if command and command[0] not in ("for", "done"):
        yield command
