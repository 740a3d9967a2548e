"""A build that is killed or runs out of disk space leaves no partial files, and the next build continues."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256
from dataset_builders.registry import find
from dataset_builders.release.build import LOCK, build
from dataset_builders.release.manifest import FILE, Manifest, parquet_path, read_manifest
from dataset_builders.release.parquet_file import read_rows
from dataset_builders.release.verify import SAME, verify
from tests.forked import context

CONFIGS = find("phone_book").configs(range(20, 50, 3), num_docs=100)


def begun(folder: Path) -> Any:
    """A process that builds, which has written its empty manifest."""
    builder = context().Process(target=build, args=(CONFIGS, folder, {}))
    builder.start()
    while not (folder / FILE).exists():
        assert builder.is_alive(), "the builder ended before it began"
        time.sleep(0.001)
    return builder


@pytest.fixture(scope="module")
def unhurt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, float]:
    """The result of an undisturbed build, and the seconds that a process takes for it."""
    folder = tmp_path_factory.mktemp("unhurt")
    builder, start = begun(folder), time.perf_counter()
    builder.join()
    return read_manifest(folder), time.perf_counter() - start


def check_what_is_listed_is_whole(folder: Path) -> int:
    configs = read_manifest(folder).configs
    for name, entry in configs.items():
        assert content_sha256(read_rows(parquet_path(folder, name), entry.benchmark)) == entry.content_sha256
    return len(configs)


def kill_and_go_on(folder: Path, unhurt: tuple[Manifest, float], rng: Random) -> int:
    """Kill a build at a random moment and build again; returns how many configs the first finished."""
    expected, seconds = unhurt
    builder = begun(folder)
    time.sleep(rng.random() * seconds)
    builder.kill()
    builder.join()
    finished = check_what_is_listed_is_whole(folder)
    results = build(CONFIGS, folder, {})
    assert [result.state for result in results] == ["kept"] * finished + ["built"] * (len(CONFIGS) - finished)
    assert read_manifest(folder) == expected
    assert all(outcome.state == SAME for outcome in verify(folder, {}))
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found - {LOCK} == {
        FILE,
        "README.md",
        "eval.yaml",
        *(str(parquet_path(Path(), config.name)) for config in CONFIGS),
    }
    return finished


def test_a_killed_build_goes_on(tmp_path: Path, unhurt: tuple[Manifest, float]) -> None:
    for number in range(3):
        kill_and_go_on(tmp_path / str(number), unhurt, Random(number))


@pytest.mark.slow
def test_a_build_killed_at_any_moment_goes_on(tmp_path: Path, unhurt: tuple[Manifest, float]) -> None:
    finished = {kill_and_go_on(tmp_path / str(n), unhurt, Random(100 + n)) for n in range(20)}
    assert any(0 < number < len(CONFIGS) for number in finished), finished


def test_what_a_killed_build_leaves_is_removed_and_made_again(
    tmp_path: Path, unhurt: tuple[Manifest, float]
) -> None:
    build(CONFIGS[:1], tmp_path, {})
    names = [config.name for config in CONFIGS[1:3]]
    half, whole, not_asked = (parquet_path(tmp_path, name) for name in [*names, "phone_book_999"])
    for path in (half, whole, not_asked):
        path.parent.mkdir()
    for path in (half, not_asked):
        (path.parent / f".{path.name}.partial").write_bytes(b"PAR1 and no more")
    whole.write_bytes(b"renamed, and not yet in the manifest")
    (tmp_path / f".{FILE}.partial").write_text('{"format"')
    states = [result.state for result in build(CONFIGS, tmp_path, {})]
    assert states == ["kept"] + ["built"] * (len(CONFIGS) - 1)
    assert read_manifest(tmp_path) == unhurt[0]
    assert check_what_is_listed_is_whole(tmp_path) == len(CONFIGS)
    assert not list(tmp_path.rglob("*.partial"))


def test_a_file_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    build(CONFIGS[:2], tmp_path, {})
    before = read_manifest(tmp_path)
    parquet_path(tmp_path, CONFIGS[0].name).unlink()
    assert [result.state for result in build(CONFIGS[:2], tmp_path, {})] == ["built", "kept"]
    assert read_manifest(tmp_path) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("there is no command to mount a small disk")
    options = ["-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    mounted = subprocess.run([mount, *options], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr.strip()}")
    yield folder
    subprocess.run([umount, str(folder)], check=True)


def test_a_full_disk_is_one_sentence_and_leaves_nothing_half(small_disk: Path) -> None:
    folder = small_disk / "data"
    small, large = find("phone_book").configs([20, 200], num_docs=200)
    with pytest.raises(InputError, match=r"phone_book_200/test.* cannot be written: No space left on device"):
        build([small, large], folder, {})
    assert check_what_is_listed_is_whole(folder) == 1
    assert not [path for path in folder.rglob("*") if "200" in path.name and path.is_file()]
    assert not list(folder.rglob("*.partial"))

    rest = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(b"x" * (rest.f_bavail * rest.f_frsize))
    with pytest.raises(InputError, match="cannot be written: No space left on device"):
        build(find("phone_book").configs([3], num_docs=1), folder, {})
    assert check_what_is_listed_is_whole(folder) == 1

    (small_disk / "filler").unlink()
    subprocess.run([str(shutil.which("mount")), "-o", "remount,size=10m", str(small_disk)], check=True)
    assert [result.state for result in build([small, large], folder, {})] == ["kept", "built"]
    assert all(outcome.state == SAME for outcome in verify(folder, {}))
