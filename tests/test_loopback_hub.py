"""The loopback Hub answers the real huggingface_hub and datasets as the Hub would."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationDelete, HfApi, HfFileSystem, errors
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.client import CARD, NAME, PARQUET, commit, kept
from tests.hub.fixture import GOOD, OTHER
from tests.hub.repositories import Repository
from tests.hub.server import LoopbackHub, start


@pytest.fixture
def api(hub: LoopbackHub) -> HfApi:
    made = hub.api(GOOD)
    made.create_repo(NAME, repo_type="dataset")
    return made


def test_what_was_committed_is_read_back(hub, api, tmp_path):
    files = {"README.md": CARD, "data/test.parquet": PARQUET, "empty": b""}
    made = commit(api, files)
    assert kept(hub) == files
    folder = Path(api.snapshot_download(NAME, repo_type="dataset", revision=made.oid))
    assert {path: (folder / path).read_bytes() for path in files} == files
    one = api.hf_hub_download(NAME, "data/test.parquet", repo_type="dataset", cache_dir=tmp_path / "other")
    assert Path(one).read_bytes() == PARQUET
    uploads = [path for method, path, status in hub.log if method == "PUT"]
    assert len(uploads) == 1 and uploads[0].startswith("/lfs/dataset/org/benchmark/")


def test_repositories_are_on_disk(hub, api):
    commit(api, {"a.txt": b"text", "b.parquet": PARQUET})
    repository = hub.repository(NAME)
    again = Repository(repository.folder, "dataset", NAME)
    assert (again.refs, again.files()) == (repository.refs, repository.files())


def test_same_files_make_no_commit_and_no_upload(hub, api):
    files = {"a.txt": b"text", "data/test.parquet": PARQUET}
    first = commit(api, files)
    hub.log.clear()
    assert commit(api, files).oid == first.oid
    assert not [path for method, path, status in hub.log if "/commit/" in path or method == "PUT"]
    assert commit(api, {"data/test.parquet": PARQUET, "b": b"new"}).oid != first.oid


def test_ignored_files_stay_out(hub, api):
    commit(api, {".gitignore": b"*.tmp\n# *.txt\ncache/\n"})
    commit(api, {"a.tmp": b"1", "cache/x.parquet": PARQUET, "b.txt": b"2"})
    assert sorted(kept(hub)) == [".gitignore", "b.txt"]


PATHS = ["a.txt", "folder/a b.txt", "folder/deep/é%2F#?.txt", "data.parquet", "folder/data.parquet"]
CHANGES = st.dictionaries(st.sampled_from(PATHS), st.none() | st.binary(min_size=1, max_size=30), min_size=1)


@given(changes=st.lists(CHANGES, min_size=1, max_size=4))
@settings(max_examples=12, deadline=None)
def test_every_revision_is_a_snapshot(changes):
    """Whatever is added and deleted later, the files, tree and contents of a commit do not change."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        served = start(Path(folder), {GOOD: "org"})
        api, expected, state = served.api(GOOD), {}, {}
        api.create_repo(NAME, repo_type="dataset")
        for change in changes:
            gone = [path for path, content in change.items() if content is None and path in state]
            new = {path: content for path, content in change.items() if content is not None}
            if not gone and not new:
                continue
            made = commit(api, new, *map(CommitOperationDelete, gone))
            state = {path: content for path, content in state.items() if path not in gone} | new
            expected[made.oid] = state
        files = HfFileSystem(endpoint=served.url, token=GOOD, skip_instance_cache=True)
        for sha, state in expected.items():
            assert kept(served, sha) == state
            tree = api.list_repo_tree(NAME, repo_type="dataset", revision=sha, recursive=True)
            sizes = {entry.path: entry.size for entry in tree if hasattr(entry, "size")}
            assert sizes.pop(".gitattributes") and sizes == {path: len(state[path]) for path in state}
            for path, content in state.items():
                assert files.cat_file(f"datasets/{NAME}@{sha}/{path}") == content
        served.close()


def test_information_of_repositories_and_paths(hub, api):
    made = commit(api, {"README.md": CARD, "data/test.parquet": PARQUET})
    info = api.dataset_info(NAME, files_metadata=True)
    assert (info.id, info.sha, info.private) == (NAME, made.oid, False)
    sizes = {sibling.rfilename: (sibling.size, bool(sibling.lfs)) for sibling in info.siblings}
    assert sizes["README.md"] == (len(CARD), False)
    assert sizes["data/test.parquet"] == (len(PARQUET), True)
    file, folder = api.get_paths_info(
        NAME, ["data/test.parquet", "data", "none"], repo_type="dataset", expand=True
    )
    assert (file.path, file.size, file.last_commit.oid) == ("data/test.parquet", len(PARQUET), made.oid)
    assert folder.path == "data"
    assert api.file_exists(NAME, "README.md", repo_type="dataset")
    assert not api.file_exists(NAME, "none", repo_type="dataset")
    titles = [item.title for item in api.list_repo_commits(NAME, repo_type="dataset")]
    assert titles == ["change", "initial commit"]


def test_a_range_of_a_file(api):
    commit(api, {"data.parquet": PARQUET})
    files = HfFileSystem(endpoint=api.endpoint, token=GOOD, skip_instance_cache=True)
    assert files.cat_file(f"datasets/{NAME}/data.parquet", start=100, end=200) == PARQUET[100:200]
    with files.open(f"datasets/{NAME}/data.parquet", block_size=64) as file:
        file.seek(-8, 2)
        assert file.read() == PARQUET[-8:]


def test_branches_and_tags(hub, api):
    first = commit(api, {"a": b"1"}).oid
    api.create_tag(NAME, tag="v1", repo_type="dataset")
    api.create_branch(NAME, branch="next", revision="v1", repo_type="dataset")
    second = commit(api, {"a": b"2"}, revision="next").oid
    refs = api.list_repo_refs(NAME, repo_type="dataset")
    assert {ref.name: ref.target_commit for ref in refs.branches} == {"main": first, "next": second}
    assert [(ref.name, ref.ref, ref.target_commit) for ref in refs.tags] == [("v1", "refs/tags/v1", first)]
    assert kept(hub, "v1") == {"a": b"1"} and kept(hub, "next") == {"a": b"2"}
    with pytest.raises(errors.HfHubHTTPError, match="409"):
        api.create_tag(NAME, tag="v1", repo_type="dataset")
    with pytest.raises(errors.RevisionNotFoundError):
        commit(api, {"a": b"3"}, revision="v1")
    api.delete_tag(NAME, tag="v1", repo_type="dataset")
    with pytest.raises(errors.RevisionNotFoundError):
        api.dataset_info(NAME, revision="v1")
    with pytest.raises(errors.RevisionNotFoundError):
        api.delete_tag(NAME, tag="v1", repo_type="dataset")


def test_a_pull_request_of_a_stranger(hub, api):
    start_of_it = commit(api, {"a": b"1", "b": b"1"}).oid
    other = hub.api(OTHER)
    asked = commit(
        other, {"data.parquet": PARQUET}, create_pr=True, parent_commit=start_of_it, message="More"
    )
    assert (asked.pr_num, asked.pr_revision) == (1, "refs/pr/1")
    commit(other, {}, CommitOperationDelete("b"), revision="refs/pr/1")
    commit(api, {"c": b"3"})
    assert kept(hub) == {"a": b"1", "b": b"1", "c": b"3"}
    assert kept(hub, "refs/pr/1") == {"a": b"1", "data.parquet": PARQUET}
    refs = api.list_repo_refs(NAME, repo_type="dataset", include_pull_requests=True)
    assert [ref.ref for ref in refs.pull_requests] == ["refs/pr/1"]
    (listed,) = api.get_repo_discussions(NAME, repo_type="dataset", discussion_status="open")
    assert (listed.num, listed.title, listed.is_pull_request) == (1, "More", True)
    with pytest.raises(errors.HfHubHTTPError, match="403"):
        other.merge_pull_request(NAME, 1, repo_type="dataset")
    api.comment_discussion(NAME, 1, comment="Thanks", repo_type="dataset")
    api.merge_pull_request(NAME, 1, repo_type="dataset")
    assert api.get_discussion_details(NAME, 1, repo_type="dataset").status == "merged"
    assert kept(hub) == {"a": b"1", "c": b"3", "data.parquet": PARQUET}
    drafted = api.create_pull_request(NAME, title="Draft", repo_type="dataset")
    api.change_discussion_status(NAME, drafted.num, new_status="closed", repo_type="dataset")
    assert hub.repository(NAME).pull_requests[drafted.num].status == "closed"


SCRIPT = """
import os
from datasets import Dataset, load_dataset
rows = [{"prompt": f"{i}", "answer": ["a", str(i)]} for i in range(20)]
for config in ("small", "large"):
    Dataset.from_list(rows).push_to_hub("org/pushed", config, split="test", private=True)
assert load_dataset("org/pushed", "small", split="test").to_list() == rows
assert list(load_dataset("org/pushed", "large", split="test", streaming=True)) == rows
os._exit(0)  # without waiting for the reader's threads, which have aborted the interpreter's exit
"""


def test_datasets_pushes_loads_and_streams(hub, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=hub.env(GOOD),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    repository = hub.repository("org/pushed")
    assert repository.private
    assert {
        "large/test-00000-of-00001.parquet",
        "small/test-00000-of-00001.parquet",
    } < repository.files().keys()
    assert 206 in {status for *_, status in hub.log}, "streaming asked for no range"
