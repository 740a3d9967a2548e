"""A small config of each benchmark, in a folder that tests only read."""

import json
from pathlib import Path

import pytest

from dataset_builders.benchmark import Config
from dataset_builders.registry import find
from dataset_builders.release.build import LOCK, build
from tests.material import neox_tokenizer
from tests.squad_sample import write_squad


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A few small texts, the sample of SQuAD and a real tokenizer."""
    folder = tmp_path_factory.mktemp("a folder of this machine")
    text = " ".join(f"The {n} ships of Orsby sailed in {1500 + n}.\nNone came back;" for n in range(200))
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text[i:]}) + "\n" for i in range(12)))
    return {
        "source": str(folder / "texts.jsonl"),
        "squad_source": str(write_squad(folder / "squad.jsonl")),
        "tokenizer": str(neox_tokenizer()),
    }


def one_of_each(num_docs: int = 5) -> list[Config]:
    return [
        *find("phone_book").configs([20], num_docs=num_docs),
        *find("c4_copy").configs([25], ["standard", "random"], num_docs=num_docs),
        *find("squad_v2_retrieval").configs(["50_100"]),
        *find("string_copy").configs([20], num_docs=num_docs),
        *find("string_prefix_ngram").configs([20], num_docs=num_docs),
    ]


@pytest.fixture(scope="session")
def built(sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small config of each task, which tests must not change."""
    folder = tmp_path_factory.mktemp("built") / "data"
    build(one_of_each(), folder, sources)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
