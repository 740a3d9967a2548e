"""Small random models and a way to run the real lm-eval."""

import logging
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

from tests.hub.fixture import hub  # noqa: F401
from tests.models import byte_tokenizer, tiny_model

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    return byte_tokenizer()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-NeoX over bytes with a window of 512 tokens, saved as a user's model would be."""
    folder = tmp_path_factory.mktemp("models") / "tiny-neox"
    tiny_model("gpt_neox", max_position_embeddings=512).save_pretrained(folder)
    byte_tokenizer(model_max_length=512).save_pretrained(folder)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``python ...`` as a user would, in a folder of its own."""

    def run_command(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run_command


@pytest.fixture
def lm_eval_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run ``python -m lm_eval ...`` in this process, with our tasks alone: 15 s faster than in its own.

    What the interpreter does around a main program is done here too: an exception goes to ``sys.excepthook``
    and gives status 1. lm-eval's own tasks are not indexed, which takes most of its start.
    """
    import lm_eval.tasks
    import lm_eval.utils

    def index_ours_alone(manager: lm_eval.tasks.TaskManager, **options: Any) -> None:
        with_defaults(manager, **{**options, "include_defaults": False})

    with_defaults = lm_eval.tasks.TaskManager.__init__
    monkeypatch.setattr(lm_eval.tasks.TaskManager, "__init__", index_ours_alone)
    logger = logging.getLogger("lm_eval")
    for name, value in (("handlers", []), ("propagate", True), ("level", logging.NOTSET)):
        monkeypatch.setattr(logger, name, value)
    monkeypatch.setattr(lm_eval.utils, "_LOGGING_CONFIGURED", False)
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    monkeypatch.chdir(tmp_path)

    def run_command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        lm_eval.utils.warning_once.cache_clear()
        monkeypatch.setattr(sys, "argv", ["lm_eval", *map(str, arguments)])
        status: object = 0
        try:
            runpy.run_module("lm_eval", run_name="__main__")
        except SystemExit as stop:
            status = stop.code
        except Exception:  # noqa: BLE001  the interpreter's last resort is under test
            sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
            status = 1
        output = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, status or 0, output.out, output.err)  # type: ignore[call-overload]

    return run_command


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of what this machine has not are skipped, and say so."""
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
