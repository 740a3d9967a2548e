"""Damaged and hostile data sets, runs and settings: errors are one sentence, never a traceback."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.registry import find
from dataset_builders.release.build import build
from dataset_builders.release.manifest import FILE, parquet_path, read_manifest
from synthetic_training.config import TrainConfig
from synthetic_training.settings import parse_settings, read_settings
from synthetic_training.training.checkpoint import Checkpoints
from synthetic_training.training.run_folder import METRICS, RUN, read_run
from synthetic_training.training.run_log import read_metrics
from tests.mutations import as_json as json_bytes
from tests.mutations import damaged_bytes, hostile_yaml, mutated, mutated_files, tree

# no shrinking: it takes minutes where nesting is deep
FEW = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
MANY = settings(FEW, max_examples=2000)

with TemporaryDirectory() as _folder:
    build(find("phone_book").configs([20], num_docs=2), Path(_folder), {})
    MANIFEST = json.loads((Path(_folder) / FILE).read_text())

RUN_FILE = {"config": TrainConfig().as_json(), "versions": {"torch": "2"}, "revision": None}
TRAINER = {"step": 10, "examples": 640, "seconds": 1.5, "sha256": {}}


def read_a_manifest(data: bytes) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / FILE).write_bytes(data)
        manifest = read_manifest(folder)
        for config in manifest.configs:
            assert parquet_path(folder, config).parent.parent == folder


def read_a_run(data: bytes) -> None:
    with TemporaryDirectory() as name:
        (Path(name) / RUN).write_bytes(data)
        config = read_run(Path(name))
        assert parse_settings(TrainConfig, config.as_json(), "settings") == config


def read_a_checkpoint(data: bytes) -> None:
    with TemporaryDirectory() as name:
        run = Path(name)
        checkpoint = run / "checkpoints" / "step_10"
        checkpoint.mkdir(parents=True)
        (checkpoint / "trainer.json").write_bytes(data)
        before = tree(run)
        try:
            Checkpoints(run).newest()
        finally:
            assert tree(run) == before


def read_some_settings(data: bytes) -> None:
    with TemporaryDirectory() as name:
        file = Path(name) / "settings.yaml"
        file.write_bytes(data)
        parse_settings(TrainConfig, read_settings(file), str(file))


def read_some_metrics(data: bytes) -> None:
    with TemporaryDirectory() as name:
        file = Path(name) / METRICS
        file.write_bytes(data)
        read_metrics(file)


SETTINGS: dict[str, Any] = {"task": "copy", "max_length": 50, "lr": 1e-3, "model_args": {"n_embd": 32}}
settings_files = (
    mutated(SETTINGS).map(lambda found: yaml.safe_dump(found, allow_unicode=True).encode(errors="replace"))
    | damaged_bytes(yaml.safe_dump(SETTINGS).encode())
    | st.text(alphabet="-: []{}&*!|>'\"\n ab#%@`1.e", max_size=80).map(str.encode)
    | hostile_yaml(("task", "lr", "max_length", "model_args", "eval_lengths")).map(str.encode)
)

READERS: dict[str, tuple[Callable[[bytes], None], st.SearchStrategy[bytes]]] = {
    "manifest": (read_a_manifest, mutated_files(MANIFEST)),
    "run": (read_a_run, mutated_files(RUN_FILE)),
    "checkpoint": (read_a_checkpoint, mutated_files(TRAINER)),
    "settings": (read_some_settings, settings_files),
    "metrics": (read_some_metrics, mutated_files({"step": 1, "loss": 2.5}).map(lambda line: line + b"\n")),
}


def sentence(read: Callable[[bytes], None], data: bytes) -> None:
    """Read a file, which must succeed or raise InputError with a message of one line."""
    with suppress(InputError):
        try:
            read(data)
        except InputError as error:
            assert "\n" not in str(error)
            raise


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]", "it is not an object"),
        (b"{}", "it needs a kind and a step"),
        (b'{"kind": "eval", "step": true}', "it needs a kind and a step"),
        (b"\xff", "it is not text"),
    ],
)
def test_a_line_that_is_not_a_record_of_metrics_is_refused(line: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_some_metrics(line + b"\n")


@pytest.mark.parametrize(
    "changed",
    [
        {"step": -1}, {"step": 0}, {"step": 10**30}, {"step": "10"}, {"examples": -1},
        {"seconds": float("nan")}, {"seconds": float("inf")},
        {"sha256": {"../../../etc/passwd": "0"}}, {"sha256": {"a": 1}},
    ],
)  # fmt: skip
def test_a_checkpoint_with_impossible_counts_is_damaged(changed: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="all checkpoints in .* are damaged"):
        read_a_checkpoint(json_bytes({**TRAINER, **changed}))


def test_the_good_files_are_read() -> None:
    read_a_manifest(json_bytes(MANIFEST))
    read_a_run(json_bytes(RUN_FILE))
    read_a_checkpoint(json_bytes(TRAINER))
    read_some_settings(yaml.safe_dump(SETTINGS).encode())


@pytest.mark.parametrize("kind", READERS)
def test_a_mutated_file_is_read_or_one_sentence(kind: str) -> None:
    read, files = READERS[kind]
    FEW(given(files)(lambda data: sentence(read, data)))()


@pytest.mark.slow
@pytest.mark.parametrize("kind", READERS)
def test_two_thousand_mutated_files(kind: str) -> None:
    read, files = READERS[kind]
    MANY(given(files)(lambda data: sentence(read, data)))()
