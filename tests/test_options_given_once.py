"""Every command refuses an option that is given twice, instead of dropping its first values."""

import importlib
import re
import runpy
import sys
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.import_graph import PACKAGES, ROOT, modules

COMMANDS = [
    file
    for file in (*modules(*PACKAGES).values(), *sorted((ROOT / "docs").rglob("*.py")))
    if re.search(r"\bcli\(|cli_from_dict\(", file.read_text()) and "if __name__" in file.read_text()
]
"""Files of all commands and examples that have a command line; the others are started by these."""

_EXTRAS = {"synthetic_training": "train", "docs": "hf", "lm_eval_tasks": "hf", "dataset_builders": ""}


@pytest.mark.parametrize("file", COMMANDS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_refuses_an_option_given_twice(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = _EXTRAS[file.relative_to(ROOT).parts[0]]
    if extra and missing(extra):
        pytest.skip(missing(extra))
    monkeypatch.setattr(sys, "argv", [str(file), "--option", "1", "--option=2"])
    with pytest.raises(
        SystemExit, match="^error: --option is given twice, and only the last one would count"
    ):
        runpy.run_path(str(file), run_name="__main__")


@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("dataset_builders build phone_book --entries 20 --entries 40 --out o", "--entries"),
        ("lm_eval_tasks report results --out a --out=b", "--out"),
        ("synthetic_training train --model-args width=8 --model_args depth=1 --out o", "--model-args"),
    ],
)
def test_an_option_that_is_given_twice_loses_no_value(command: str, option: str) -> None:
    module, *words = command.split()
    if module == "synthetic_training" and missing("train"):
        pytest.skip(missing("train"))
    with pytest.raises(SystemExit, match=f"error: {option} is given twice"):
        importlib.import_module(f"{module}.__main__").main(words)
