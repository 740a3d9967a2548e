"""Pushing a release to a loopback Hub: the files afterwards, and the folders that are refused."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import yaml
from huggingface_hub import CommitOperationAdd, DatasetCard, get_session

from dataset_builders import InputError
from dataset_builders.__main__ import main
from dataset_builders.registry import find
from dataset_builders.release import push
from dataset_builders.release.build import build
from dataset_builders.release.card import END
from dataset_builders.release.folder import read_release
from dataset_builders.release.manifest import FILE, parquet_path
from dataset_builders.release.push import Target
from tests.hub.fixture import GOOD
from tests.hub.server import LoopbackHub
from tests.pushing import NAME, commit, new, old, pushed, refused, releases, snapshot


def writes(hub: LoopbackHub) -> list[str]:
    return [f"{method} {path}" for method, path, _ in hub.log if method not in ("GET", "HEAD")]


def test_a_release_is_one_commit_of_every_file(hub, old):
    said = pushed(hub, old, tag="v1.0")
    repository = hub.repository(NAME)
    files = repository.files("v1.0")
    assert set(files) == {
        ".gitattributes",
        "README.md",
        "eval.yaml",
        "manifest.json",
        "phone_book_20/test-00000-of-00001.parquet",
        "string_copy_10/test-00000-of-00001.parquet",
    }
    for path in (FILE, *(parquet_path(Path(), c).as_posix() for c in ("phone_book_20", "string_copy_10"))):
        assert files[path] == (old / path).read_bytes()
    assert [c["config_name"] for c in DatasetCard(files["README.md"].decode()).data["configs"]] == [
        "phone_book_20",
        "string_copy_10",
    ]
    assert NAME in files["README.md"].decode()
    assert len(yaml.safe_load(files["eval.yaml"])["tasks"]) == 2
    assert len(list(repository.history(repository.resolve("main")))) == 2
    sha = repository.refs["refs/tags/v1.0"]
    assert sha == repository.refs["refs/heads/main"]
    assert said == [
        f"created the repository {hub.url}/datasets/{NAME}",
        f"committed 5 files new or changed, 0 deleted: {hub.url}/datasets/{NAME}/commit/{sha}",
        f"tagged v1.0: {hub.url}/datasets/{NAME}/tree/v1.0",
    ]


def test_eval_yaml_can_be_left_out(hub, old):
    pushed(hub, old, tag="v1.0", eval_yaml=False)
    assert "eval.yaml" not in hub.repository(NAME).files("v1.0")
    assert "manifest.json" in hub.repository(NAME).files("v1.0")
    assert pushed(hub, old, tag="v1.0", eval_yaml=False)[0].startswith("nothing to do")
    pushed(hub, old)
    assert "eval.yaml" in hub.repository(NAME).files("main")


@pytest.mark.parametrize("tag", [None, "v1.0"])
def test_the_same_again_changes_nothing(hub, old, tag):
    pushed(hub, old, tag=tag)
    before = snapshot(hub)
    hub.log.clear()
    (said,) = pushed(hub, old, tag=tag)
    assert said.startswith("nothing to") and f"{hub.url}/datasets/{NAME}" in said
    assert before["refs/heads/main"] in said
    assert not writes(hub) and snapshot(hub) == before


def test_a_release_replaces_the_one_before_and_nothing_else(hub, old, new):
    pushed(hub, old, tag="v1.0")
    theirs = {"notes.txt": b"mine", "string_copy_10/notes.txt": b"mine", "other/test-0.parquet": b"PAR1"}
    operations = [CommitOperationAdd(path, content) for path, content in theirs.items()]
    hub.api(GOOD).create_commit(NAME, operations, commit_message="by hand", repo_type="dataset")
    hub.log.clear()
    said = pushed(hub, new, tag="v2.0")
    assert "5 files new or changed, 1 deleted" in said[0]
    files = hub.repository(NAME).files()
    assert {path: files[path] for path in theirs} == theirs
    assert "string_copy_10/test-00000-of-00001.parquet" not in files
    assert (
        files["phone_book_20/test-00000-of-00001.parquet"] == parquet_path(new, "phone_book_20").read_bytes()
    )
    assert "string_copy_10" not in files["README.md"].decode()
    assert sum("/commit/" in write for write in writes(hub)) == 1


def test_a_file_that_is_there_is_not_uploaded_again(hub, old):
    pushed(hub, old)
    hub.log.clear()
    build(find("phone_book").configs([30], num_docs=4), old, {})
    assert "4 files new or changed, 0 deleted" in pushed(hub, old)[0]
    assert sum(write.startswith("PUT") for write in writes(hub)) == 1


def test_what_people_wrote_into_the_card_is_kept(hub, old, new):
    pushed(hub, old)
    text = hub.repository(NAME).files()["README.md"].decode()
    commit(hub, README__md=text.replace("---\n", "---\ndoi: 10.1/x\n", 1).encode() + b"\nMy own words.\n")
    pushed(hub, new)
    text = hub.repository(NAME).files()["README.md"].decode()
    assert DatasetCard(text).data["doi"] == "10.1/x"
    assert text.endswith("\nMy own words.\n") and "phone_book_30" in text


def _missing_file(folder: Path) -> None:
    parquet_path(folder, "phone_book_20").unlink()


def _cut_file(folder: Path) -> None:
    path = parquet_path(folder, "phone_book_20")
    path.write_bytes(path.read_bytes()[:-20])


def _other_rows(folder: Path) -> None:
    kept = json.loads((folder / FILE).read_text())
    kept["configs"]["phone_book_20"]["content_sha256"] = "0" * 64
    (folder / FILE).write_text(json.dumps(kept))


def _other_number(folder: Path) -> None:
    kept = json.loads((folder / FILE).read_text())
    kept["configs"]["phone_book_20"]["rows"] += 1
    (folder / FILE).write_text(json.dumps(kept))


def _files_swapped(folder: Path) -> None:
    shutil.copy(parquet_path(folder, "string_copy_10"), parquet_path(folder, "phone_book_20"))


def _emptied(folder: Path) -> None:
    kept = json.loads((folder / FILE).read_text())
    for name in kept["configs"]:
        shutil.rmtree(folder / name)
    (folder / FILE).write_text(json.dumps({**kept, "configs": {}}))


def _unlisted(folder: Path) -> None:
    shutil.copytree(folder / "phone_book_20", folder / "phone_book_40")


@pytest.mark.parametrize(
    ("damage", "match"),
    [
        (shutil.rmtree, "has no manifest.json"),
        (lambda folder: (folder / FILE).unlink(), "has no manifest.json"),
        (lambda folder: (folder / FILE).write_text("{"), "is not JSON"),
        (lambda folder: (folder / FILE).write_text('{"a": 1}'), "not a manifest of"),
        (_emptied, "lists no config; build at least one config into the folder first"),
        (_missing_file, "is missing"),
        (_cut_file, "is damaged"),
        (_other_rows, "its rows differ"),
        (_other_number, "rows, not .* as the manifest says"),
        (_files_swapped, "does not have the columns"),
        (_unlisted, "is not listed in manifest.json"),
    ],
)
def test_a_folder_that_is_not_what_its_manifest_says_is_not_pushed(hub, old, damage, match):
    damage(old)
    refused(hub, old, match)
    assert not hub.log


@pytest.mark.parametrize(
    "theirs",
    [
        {"manifest__json": b'{"builder": "other"}'},
        {"manifest__json": b"not JSON"},
        {"eval__yaml": b"name: theirs\n"},
        {"phone_book_20/test-00000-of-00001__parquet": b"PAR1"},
        {"README__md": f"---\na: b\n---\n{END}\n".encode()},
    ],
)
def test_files_of_others_are_not_overwritten(hub, old, theirs):
    hub.api(GOOD).create_repo(NAME, repo_type="dataset")
    commit(hub, **theirs)
    message = refused(hub, old, "delete|restore")
    if "manifest__json" in theirs:
        kind = f"the repository {NAME} has a manifest.json of another kind: manifest.json is "
        assert message.startswith(kind) and message.endswith("; use another name, or delete the file there")


def test_a_repository_with_files_that_are_not_in_the_way(hub, old):
    hub.api(GOOD).create_repo(NAME, repo_type="dataset")
    commit(hub, README__md=b"# Soon\n", data__csv=b"a\n1\n")
    pushed(hub, old, tag="v1.0")
    files = hub.repository(NAME).files()
    assert files["data.csv"] == b"a\n1\n" and files["README.md"].endswith(b"\n# Soon\n")


def test_somebody_else_commits_meanwhile(hub, old, new):
    pushed(hub, old)
    api = hub.api(GOOD)
    create_commit = api.create_commit

    def after_another(*arguments, **options):
        commit(hub, notes__txt=b"theirs")
        return create_commit(*arguments, **options)

    api.create_commit = after_another
    with pytest.raises(InputError, match="someone else has changed"):
        push.push(new, Target(NAME), api, print)
    files = hub.repository(NAME).files()
    assert files["notes.txt"] == b"theirs" and "phone_book_30/test-00000-of-00001.parquet" not in files
    pushed(hub, new)
    files = hub.repository(NAME).files()
    assert files["notes.txt"] == b"theirs" and "phone_book_30/test-00000-of-00001.parquet" in files


def test_a_hub_that_is_silent_is_given_up(hub, old, monkeypatch):
    monkeypatch.setattr(push, "PATIENCE", 0.3)
    hub.hold = 5.0
    hub.fail("timeout", match=("POST", "/commit/"))
    patience = get_session().timeout
    with pytest.raises(InputError, match="timed out"):
        pushed(hub, old)
    assert get_session().timeout == patience  # other requests of this process keep theirs
    pushed(hub, old)


def test_what_was_pushed_is_a_whole_folder_again(hub, new, tmp_path):
    pushed(hub, new)
    folder = Path(hub.api(GOOD).snapshot_download(NAME, repo_type="dataset", local_dir=tmp_path / "again"))
    assert read_release(folder).manifest == read_release(new).manifest


def test_a_dry_run_lists_what_a_push_sends(hub, old, capsys):
    """The list has the files of a push to a new repository, and nothing is requested from the Hub."""
    main(["push", str(old), NAME, "--tag", "v1.0", "--dry-run"])
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == f"would push {len(lines)} files to the branch main of the data set {NAME}, tagged v1.0:"
    assert hub.log == []
    pushed(hub, old)
    sent = hub.repository(NAME).files()
    expected = {path: (len(data), hashlib.sha256(data).hexdigest()[:12]) for path, data in sent.items()}
    listed = {}
    for line in lines:
        size, _, _, checksum, path = line.split()
        listed[path] = (int(size.replace(",", "")), checksum)
    assert listed == {path: one for path, one in expected.items() if path != ".gitattributes"}
    assert list(listed) == sorted(listed)
    main(["push", str(old), NAME, "--no-eval-yaml", "--dry-run"])
    assert "eval.yaml" not in capsys.readouterr().out
