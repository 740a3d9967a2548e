"""The commands in the documents can be parsed, and those that need nothing special run."""

import functools
import importlib
import importlib.util
import io
import json
import re
import runpy
import sys
import tomllib
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import tyro
from lm_eval._cli.harness import HarnessCLI

from lm_eval_tasks.catalog import task_files
from tests.conftest import missing
from tests.document_commands import NEEDS, Block, blocks, documents
from tests.import_graph import ROOT

if missing("train"):
    pytest.skip(f"the documents have commands of [train]: {missing('train')}", allow_module_level=True)

BLOCKS = [block for document in documents() for block in blocks(document)]
OF_COMMANDS = [block for block in BLOCKS if block.commands() and not block.test]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _id(block: Block) -> str:
    return f"{block.document}:{block.line}"


class Parsed(BaseException):
    """Raised when a command has parsed its arguments."""


@pytest.fixture
def parse_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the project's commands stop once their arguments are parsed."""
    cli, subcommands = tyro.cli, tyro.extras.subcommand_cli_from_dict

    def parse(target: Any, **options: Any) -> None:
        cli(_idle(target), **options)
        raise Parsed

    def parse_subcommand(targets: Mapping[str, Any], **options: Any) -> None:
        subcommands({name: _idle(target) for name, target in targets.items()}, **options)
        raise Parsed

    monkeypatch.setattr(tyro, "cli", parse)
    monkeypatch.setattr(tyro.extras, "subcommand_cli_from_dict", parse_subcommand)
    monkeypatch.chdir(ROOT)


def _idle(target: Callable[..., Any]) -> Callable[..., Any]:
    """A command with the same options, which does nothing."""
    if isinstance(target, type):
        return target

    @functools.wraps(target)
    def idle(**options: Any) -> None:
        from synthetic_training.config import TrainConfig

        if isinstance(options.get("settings"), TrainConfig):  # valid only once they leave the command line
            TrainConfig(**vars(options["settings"]))

    return idle


def check(words: list[str]) -> None:
    """Fail unless the command exists and accepts these arguments."""
    program, *arguments = words
    if program in ("torchrun", "accelerate"):
        program, arguments = "python", arguments[arguments.index("-m") :]
    if program == "lm_eval":
        _check_lm_eval(arguments)
    elif program in ("python", "python3") and arguments[0] == "-m":
        _check_module(arguments[1], arguments[2:])
    elif program == "python" and arguments[0] == "-c":
        compile(arguments[1], "<document>", "exec")
    elif program == "python":
        assert (ROOT / arguments[0]).is_file()
    elif program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert {one for one in arguments if "=" not in one} <= set(targets)
    elif program == "pip":
        for extras in re.findall(r"(?:repeat-after-me|\.)\[([\w,]+)\]", " ".join(arguments)):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])


@functools.cache
def task_names() -> frozenset[str]:
    return frozenset(task.name for task in task_files())


def _check_lm_eval(arguments: list[str]) -> None:
    with mock.patch.object(sys, "argv", ["lm_eval", *arguments]):
        given = HarnessCLI().parse_args()
    tasks = given.tasks if isinstance(given.tasks, list) else (given.tasks or "").split(",")
    if "register" not in arguments and given.include_path != "tasks":
        assert not _unknown_tasks({task for task in tasks if task})


def _unknown_tasks(names: set[str]) -> set[str]:
    """The names that are neither a task or group nor a length of a task of any length."""
    known = task_names()
    return {name for name in names if not {name, re.sub(r"_\d+", "_n", name, count=1)} & known}


def _check_module(module: str, arguments: list[str]) -> None:
    if module.split(".")[0] not in {"dataset_builders", "lm_eval_tasks", "synthetic_training"}:
        return
    found = importlib.util.find_spec(module)
    assert found is not None and found.origin is not None
    file = Path(found.origin)
    file = file.with_name("__main__.py") if file.name == "__init__.py" else file
    if "cli" not in file.read_text():  # it has no options
        assert not arguments
        return
    with mock.patch.object(sys, "argv", [module, *arguments]), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the module is imported already
        with pytest.raises(Parsed):
            runpy.run_module(module, run_name="__main__")


@pytest.mark.parametrize("block", OF_COMMANDS, ids=_id)
def test_commands_are_those_that_there_are(
    block: Block, parse_only: None, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in block.commands():
        check(words)


COMMANDS = {
    "dataset_builders": ("build phone_book", "build c4_copy", "build all", "verify", "push"),
    "lm_eval_tasks": ("generate", "report", "agreement", "leaderboard", "submit", "paper"),
    "synthetic_training": ("train", "evaluate", "plot", "reproduce"),
}
OTHER_OPTIONS = {
    *("--no-deps", "--no-build-isolation", "--resolution", "--no-index", "--find-links"),  # pip and uv
    "--threads",  # nvcc
    *("--extra", "--multi_gpu", "--nproc_per_node", "--nnodes"),  # pytest, accelerate and torchrun
    *("--epochs", "--examples"),  # synthetic_training.speed.mqar
    "--reports",  # lm_eval_tasks.documents
    "--runs",  # synthetic_training.figures.packing merge
}


@functools.cache
def flags() -> frozenset[str]:
    """Every long option of this project's commands and of lm-eval."""
    run = HarnessCLI()._subparsers.choices["run"]
    found = {option for action in run._actions for option in action.option_strings}
    for module, commands in COMMANDS.items():
        for command in commands:
            output = io.StringIO()
            with redirect_stdout(output), pytest.raises(SystemExit):
                importlib.import_module(f"{module}.__main__").main([*command.split(), "--help"])
            found.update(re.findall(r"--[a-z][\w-]*", output.getvalue()))
    return frozenset(found)


def test_options_in_the_text_are_those_that_there_are() -> None:
    unknown = {}
    for document in documents():
        text = re.sub(r"^```.*?^```\s*$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
        if document.name == "coming_from_released_code.md":
            text = re.sub(r"^\|[^|]*\|", "|", text, flags=re.MULTILINE)  # the released code's options
        used = {flag for code in re.findall(r"`[^`]+`", text) for flag in re.findall(r"--[a-z][\w-]*", code)}
        unknown[document] = used - flags() - OTHER_OPTIONS
    assert not {str(document): names for document, names in unknown.items() if names}


def test_tasks_in_the_text_are_those_that_there_are() -> None:
    """Except names with a placeholder, such as ``phone_book_N``."""
    name = re.compile(
        r"(?<![\w./*:$-])(?:phone_book|c4_copy|squad_v2|string|mqar|repeat_after_me)(?:_[a-z0-9_]+)?(?![\w./*(:-])"
    )
    found = {
        (str(document), word)
        for document in documents()
        for code in re.findall(r"`([^`\n]+)`", document.read_text())
        for word in name.findall(code)
    }
    assert len(found) > 100
    unknown = _unknown_tasks({word for _, word in found})
    assert not {one for one in found if one[1] in unknown}


@pytest.mark.parametrize(
    "command",
    [
        ["lm_eval", "--model", "hf", "--tasks", "phone_books"],
        ["lm_eval", "--modle", "hf"],
        ["python", "-m", "lm_eval_tasks", "report", "results", "--outs", "x"],
        ["python", "-m", "synthetic_training", "train", "--out", "run", "--lengths", "5"],
        ["python", "-m", "synthetic_training", "train", "--out", "run", "--max-length", "0"],
        ["python", "-m", "lm_eval_tasks.no_such_module"],
        ["make", "no-such-target"],
        ["pip", "install", "repeat-after-me[no_such_extra]"],
    ],
    ids=" ".join,
)
def test_other_commands_are_found(
    command: list[str], parse_only: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises((AssertionError, SystemExit, ValueError, ImportError, pytest.fail.Exception)):
        check(command)


def test_the_marks_are_known() -> None:
    assert {block.needs for block in BLOCKS} <= {"", *NEEDS}
    assert all((ROOT / block.test).is_file() for block in BLOCKS if block.test)
    assert len(OF_COMMANDS) > 60


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in ("python", "json", "toml")], ids=_id)
def test_other_code_is_valid(block: Block) -> None:
    if block.language == "python":
        compile(block.text, _id(block), "exec")
        if block.test:  # may need packages that the test stands in for
            return
        for line in re.findall(r"^(?:from \S+ )?import .*(?:\((?:.|\n)*?\))?$", block.text, re.MULTILINE):
            exec(compile(line, _id(block), "exec"), {})
    elif block.language == "json":
        json.loads(block.text)
    else:
        tomllib.loads(block.text)
