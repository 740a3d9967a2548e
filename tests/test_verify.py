"""The command ``verify`` on folders and on data sets on the Hub, and its output."""

import shutil
from pathlib import Path

import pytest

from dataset_builders.__main__ import main
from dataset_builders.registry import find
from dataset_builders.release.build import build
from dataset_builders.release.manifest import read_manifest
from dataset_builders.release.push import Target, push
from dataset_builders.release.verify import SAME
from tests.hub.fixture import GOOD
from tests.hub.server import LoopbackHub
from tests.verified_folder import CONFIGS, PHONE_BOOK, copied, original, states


def test_what_was_built_is_the_same(original: tuple[Path, dict[str, str]]) -> None:
    assert states(*original) == {config.name: SAME for config in CONFIGS}


def test_the_command_prints_a_line_a_config(
    copied: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, sources = copied
    command = [
        "verify",
        str(folder),
        "--source",
        str(sources["source"]),
        "--tokenizer",
        str(sources["tokenizer"]),
    ]
    main([*command, "--squad-source", str(sources["squad_source"])])
    entries = read_manifest(folder).configs
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        [name, str(entry.rows), "rows", entry.content_sha256[:12], "same"] for name, entry in entries.items()
    ]
    (folder / PHONE_BOOK).unlink()
    shutil.copy(folder / "c4_copy_random_5" / PHONE_BOOK.name, folder / "string_suffix_ngram_12")
    with pytest.raises(
        SystemExit,
        match=r"^error: these configs differ or could not be compared: phone_book_3, string_suffix_ngram_12$",
    ):
        main([*command, "--squad-source", str(sources["squad_source"])])
    out = capsys.readouterr().out
    assert "is missing" in out and "does not have the columns id, prompt, answer, length" in out


def test_a_data_set_on_the_hub_is_verified(
    hub: LoopbackHub,
    original: tuple[Path, dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strings = [find(name).config(12, num_docs=4) for name in ("string_copy", "string_prefix_ngram")]
    build(strings[:1], tmp_path / "data", {})
    push(tmp_path / "data", Target("org/strings", tag="v1"), hub.api(GOOD), print)
    build(strings[1:], tmp_path / "data", {})
    push(tmp_path / "data", Target("org/strings"), hub.api(GOOD), print)
    for revision, configs in (
        ("v1", ["string_copy_12"]),
        ("main", ["string_copy_12", "string_prefix_ngram_12"]),
    ):
        capsys.readouterr()
        main(["verify", "org/strings", "--revision", revision])
        lines = capsys.readouterr().out.splitlines()
        assert [(line.split()[0], line.split()[-1]) for line in lines] == [(name, SAME) for name in configs]
    with pytest.raises(SystemExit, match="^error: cannot read the data set 'org/string': "):
        main(["verify", "org/string"])


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "../x/y", "org/na me"])
def test_neither_a_folder_nor_a_name_on_the_hub_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=f"there is no folder '{name}'; pass a folder, or ORG/NAME on the Hub"
    ):
        main(["verify", name])
    with pytest.raises(SystemExit, match="is a local folder, which has no revisions"):
        main(["verify", str(tmp_path), "--revision", "v1"])
