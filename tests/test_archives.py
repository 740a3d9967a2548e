"""Archives of results are untrusted input: a damaged one is refused, and nothing in it is kept."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from synthetic_training.bundled.packing import unpack
from synthetic_training.figures.estimate import CUT, RESULTS
from synthetic_training.figures.packing import main, merge

NAME = "hard_alibi_small.jsonl"
LINES = (RESULTS / NAME).read_text().splitlines(keepends=True)


def archive_of(file: Path, members: dict[str, bytes | None]) -> Path:
    """An archive with these files, and links to ``/etc/passwd`` for those that are None."""
    with tarfile.open(file, "w:gz") as content:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            if data is None:
                info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            else:
                info.size = len(data)
            content.addfile(info, io.BytesIO(data or b""))
    return file


def changed(**changes: Any) -> bytes:
    return json.dumps({**json.loads(LINES[0]), **changes}).encode() + b"\n"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({NAME: b"{bad\n"}, f"{NAME} in .*bad.tar.gz has a damaged line: it is not JSON"),
        ({NAME: b"[" * 100_000 + b"\n"}, "has a damaged line: it is not JSON"),
        ({NAME: b"[1]\n"}, "has a damaged line: it is not an object"),
        ({NAME: b'{"a": 1}\n'}, "not the result of a figure's run: figure: Field required"),
        ({NAME: changed(tests=3)}, "not the result of a figure's run: tests: Input should be a valid list"),
        ({NAME: changed(curve=[])}, "not the result of a figure's run: curve: List should have at least 1"),
        ({NAME: changed(curve=[{}])}, "not the result of a figure's run: curve.0.step: Field required"),
        (
            {NAME: changed(seed="0")},
            "not the result of a figure's run: seed: Input should be a valid integer",
        ),
        ({NAME: "ä\n".encode("latin-1")}, "is not text"),
        ({NAME: None}, f"{NAME} is not a file"),
        ({CUT: b"{bad\n"}, "has a damaged line: it is not JSON"),
    ],
)
def test_damaged_results_are_refused_and_no_result_is_added(
    members: dict[str, bytes | None], message: str, tmp_path: Path
) -> None:
    good = archive_of(tmp_path / "good.tar.gz", {NAME: "".join(LINES).encode()})
    bad = archive_of(tmp_path / "bad.tar.gz", members)
    with pytest.raises(InputError, match=message):
        merge([good, bad], tmp_path / "into")
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text", "missing"])
def test_damaged_archives_are_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    file = archive_of(tmp_path / "one.tar.gz", {NAME: "".join(LINES).encode()})
    content = file.read_bytes()
    middle = len(content) // 2
    damaged = {
        "cut": content[:middle],
        "changed": content[:middle] + bytes(one ^ 0xFF for one in content[middle : middle + 20]),
        "empty": b"",
        "text": b"no archive",
    }
    file.unlink()
    if damage in damaged:
        file.write_bytes(damaged[damage])
    for read in (lambda: merge([file], tmp_path / "into"), lambda: unpack([file], tmp_path / "unpacked")):
        with pytest.raises(InputError, match=r"^\S+one.tar.gz cannot be unpacked: [^\n]+$"):
            read()
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    ("name", "data"),
    [("runs/../../outside", b"bad"), ("/runs/outside", None), ("runs/link", None)],
    ids=["parent", "absolute", "link"],
)
def test_nothing_is_unpacked_outside_of_the_folder(name: str, data: bytes | None, tmp_path: Path) -> None:
    good = archive_of(
        tmp_path / "good.tar.gz", {NAME: "".join(LINES).encode(), "runs/a.log": b"good", "b": b"c"}
    )
    bad = archive_of(tmp_path / "bad.tar.gz", {name: data})
    into, folder = tmp_path / "into", tmp_path / "runs" / "out"
    with pytest.raises(InputError, match=r"bad.tar.gz (cannot be unpacked: .*outside|is not a file)"):
        unpack([good, bad], folder)
    if name.startswith("runs/"):  # merge unpacks no others
        with pytest.raises(InputError, match=r"bad.tar.gz (cannot be unpacked: .*outside|is not a file)"):
            merge([good, bad], into, folder)
    assert {file.name for file in tmp_path.iterdir()} == {"good.tar.gz", "bad.tar.gz"}
    merge([good], into, folder)
    assert [file.name for file in folder.rglob("*") if file.is_file()] == ["a.log"]


def test_a_target_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "one.tar.gz", {NAME: "".join(LINES).encode()})
    (tmp_path / "file").write_text("mine")
    for command in (
        ["merge", str(archive), "--into", str(tmp_path / "file")],
        ["merge", str(archive), "--into", str(tmp_path / "into"), "--runs", str(tmp_path / "file")],
        ["pack", str(tmp_path), "--to", str(tmp_path / "file" / "to")],
    ):
        with pytest.raises(SystemExit, match="error: .*cannot be written: .*file is not a folder"):
            main(command)
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "into").exists()
