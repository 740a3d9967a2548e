"""A built folder to verify, whole or damaged."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.registry import find
from dataset_builders.release.build import build
from dataset_builders.release.manifest import FILE, parquet_path
from dataset_builders.release.verify import SAME, verify
from tests.material import neox_tokenizer
from tests.squad_sample import write_squad

CONFIGS = [
    *find("phone_book").configs([3], num_docs=4),
    *find("c4_copy").configs([5], ["random"], num_docs=4),
    *find("squad_v2_retrieval").configs(["50_100"]),
    *find("string_suffix_ngram").configs([12], num_docs=4),
]
PHONE_BOOK = parquet_path(Path(), "phone_book_3")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with a small config of each task, and its sources."""
    folder = tmp_path_factory.mktemp("verify")
    (folder / "texts.txt").write_text(
        " ".join(f"The {n} ships of Orsby sailed in {1500 + n}." for n in range(99))
    )
    sources = {
        "source": str(folder / "texts.txt"),
        "squad_source": str(write_squad(folder / "squad.json")),
        "tokenizer": str(neox_tokenizer()),
    }
    build(CONFIGS, folder / "data", sources)
    return folder / "data", sources


@pytest.fixture
def copied(original: tuple[Path, dict[str, str]], tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A copy that a test may damage."""
    shutil.copytree(original[0], tmp_path / "data")
    return tmp_path / "data", original[1]


def states(folder: Path, sources: dict[str, str]) -> dict[str, str]:
    return {outcome.config: outcome.state for outcome in verify(folder, sources)}


def wrong(folder: Path, sources: dict[str, str]) -> dict[str, str]:
    return {config: state for config, state in states(folder, sources).items() if state != SAME}


def edit_manifest(folder: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads((folder / FILE).read_bytes())
    edit(content)
    (folder / FILE).write_text(json.dumps(content))
