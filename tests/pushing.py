"""Two releases to push to a loopback Hub, and its state before and after a push."""

import shutil
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd

from dataset_builders import InputError
from dataset_builders.release import push
from dataset_builders.release.push import Target
from tests.hub.fixture import GOOD
from tests.hub.server import LoopbackHub
from tests.push_fault_table import build_releases

NAME = "org/benchmark"


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_releases(tmp_path_factory.mktemp("releases"))


@pytest.fixture
def old(releases, tmp_path) -> Path:
    return shutil.copytree(releases[0], tmp_path / "old")


@pytest.fixture
def new(releases, tmp_path) -> Path:
    return shutil.copytree(releases[1], tmp_path / "new")


def pushed(hub: LoopbackHub, folder: Path, token: str | None = GOOD, **target) -> list[str]:
    said: list[str] = []
    push.push(folder, Target(**{"name": NAME, **target}), hub.api(token), said.append)
    return said


def refused(hub: LoopbackHub, folder: Path, match: str, token: str | None = GOOD, **target) -> str:
    """Check that a push is refused without any change on the Hub, and return the message."""
    before = snapshot(hub)
    with pytest.raises(InputError, match=match) as error:
        pushed(hub, folder, token, **target)
    assert snapshot(hub) == before
    assert "\n" not in str(error.value)
    return str(error.value)


def snapshot(hub: LoopbackHub) -> dict[str, str]:
    try:
        return dict(hub.repository(NAME).refs)
    except KeyError:
        return {}


def commit(hub: LoopbackHub, **files: bytes) -> None:
    operations = [CommitOperationAdd(path.replace("__", "."), content) for path, content in files.items()]
    hub.api(GOOD).create_commit(NAME, operations, commit_message="by hand", repo_type="dataset")
