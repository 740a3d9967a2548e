"""Released documents without a checksum in this version are compared with the manifest."""

import json
import logging
from pathlib import Path

import pytest

from dataset_builders import InputError
from dataset_builders.registry import find
from dataset_builders.release.build import build
from dataset_builders.release.manifest import FILE
from lm_eval_tasks.released import read_config
from tests.hub.fixture import GOOD
from tests.hub.server import LoopbackHub
from tests.material import neox_tokenizer

CONFIG = "c4_copy_25"


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    text = folder / "text.txt"
    text.write_text(" ".join(f"The {i}th boat came home with {7 * i} herring." for i in range(100)))
    sources = {"source": str(text), "tokenizer": str(neox_tokenizer())}
    build(find("c4_copy").configs([25], ["standard"], num_docs=3), folder / "out", sources)
    return folder / "out"


def altered(released: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "altered"
    (folder / CONFIG).mkdir(parents=True)
    for file in released.glob(f"{CONFIG}/*"):
        (folder / CONFIG / file.name).write_bytes(file.read_bytes())
    manifest = json.loads((released / FILE).read_text())
    manifest["configs"][CONFIG]["content_sha256"] = "0" * 64
    (folder / FILE).write_text(json.dumps(manifest))
    return folder


def read(dataset: str | Path) -> list[dict]:
    return read_config(find("c4_copy"), str(dataset), CONFIG, None, None)


def test_rows_that_are_those_of_the_manifest(released: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(read(released)) == 3
    assert "no checksum" not in caplog.text


def test_rows_that_are_not(released: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"is damaged: the rows of its config '{CONFIG}' do not match"):
        read(altered(released, tmp_path))


def test_a_folder_without_a_manifest_is_warned_of(
    released: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = altered(released, tmp_path)
    (folder / FILE).unlink()
    with caplog.at_level(logging.WARNING):
        assert len(read(folder)) == 3
    assert f"there is no checksum to verify its config '{CONFIG}'" in caplog.text


def test_the_manifest_of_a_data_set_on_the_hub(hub: LoopbackHub, released: Path) -> None:
    from lm_eval_tasks.released import _manifest

    api = hub.api(GOOD)
    api.create_repo("org/whole", repo_type="dataset")
    assert _manifest("org/whole", None) is None
    api.upload_file(
        path_or_fileobj=released / FILE, path_in_repo=FILE, repo_id="org/whole", repo_type="dataset"
    )
    found = _manifest("org/whole", "main")
    assert found is not None and list(found.configs) == [CONFIG]
