"""Small random models and a way to run the real lm-eval."""

import os
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of what this machine has not are skipped, and say so."""
    import torch

    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
