"""The loopback Hub refuses what the Hub refuses, and huggingface_hub raises the same errors."""

import inspect
import json
from http.client import HTTPConnection

import pytest
from huggingface_hub import CommitOperationDelete, HfApi, RepoCard, errors

from tests.hub.client import CARD, NAME, commit, kept
from tests.hub.fixture import GOOD, OTHER
from tests.hub.server import LoopbackHub


@pytest.fixture
def api(hub: LoopbackHub) -> HfApi:
    made = hub.api(GOOD)
    made.create_repo(NAME, repo_type="dataset")
    return made


def test_what_is_missing_is_named(api):
    for name, token in (("org/none", GOOD), ("org/none", None), ("nobody/none", OTHER)):
        asking = HfApi(endpoint=api.endpoint, token=token or False)
        assert not asking.repo_exists(name, repo_type="dataset")
    api.create_repo("org/weights", repo_type="model")
    assert api.repo_exists("org/weights")
    with pytest.raises(errors.RepositoryNotFoundError):
        api.dataset_info("org/weights")
    with pytest.raises(errors.EntryNotFoundError):
        api.hf_hub_download(NAME, "none.txt", repo_type="dataset")
    with pytest.raises(errors.RevisionNotFoundError):
        api.hf_hub_download(NAME, "none.txt", repo_type="dataset", revision="v9")
    with pytest.raises(errors.EntryNotFoundError, match="doesn't exist"):
        commit(api, {}, CommitOperationDelete("none.txt"))


def test_who_may_do_what(hub, api):
    assert [org["name"] for org in api.whoami()["orgs"]] == ["org"]
    commit(api, {"a": b"1"})
    other, nobody, wrong = hub.api(OTHER), hub.api(), hub.api("hf_wrong")
    assert other.dataset_info(NAME).sha == nobody.dataset_info(NAME).sha
    for client, status in ((other, 403), (nobody, 401), (wrong, 401)):
        for change in (
            lambda client: client.create_repo("org/more", repo_type="dataset"),
            lambda client: commit(client, {"a": b"2"}),
            lambda client: client.create_tag(NAME, tag="v1", repo_type="dataset"),
        ):
            with pytest.raises(errors.HfHubHTTPError) as caught:
                change(client)
            assert caught.value.response.status_code == status
    with pytest.raises(errors.HfHubHTTPError, match="Invalid user token"):
        wrong.whoami()
    assert hub.repository(NAME).files()["a"] == b"1"
    assert hub.saw_token("hf_wrong") and not hub.saw_token("hf_never")


def test_private_and_gated(hub, api):
    commit(api, {"a": b"1"})
    api.update_repo_settings(NAME, repo_type="dataset", gated="auto")
    with pytest.raises(errors.GatedRepoError):
        hub.api(OTHER).hf_hub_download(NAME, "a", repo_type="dataset")
    api.update_repo_settings(NAME, repo_type="dataset", private=True)
    for token, status in ((OTHER, 404), (None, 401)):
        with pytest.raises(errors.RepositoryNotFoundError) as caught:
            hub.api(token).dataset_info(NAME)
        assert caught.value.response.status_code == status
    assert api.dataset_info(NAME).private
    api.create_repo("org/secret", repo_type="model", private=True)
    assert hub.repository("org/secret", "model").private


def test_creating_twice_and_deleting(hub, api):
    with pytest.raises(errors.HfHubHTTPError, match="already created"):
        api.create_repo(NAME, repo_type="dataset")
    assert api.create_repo(NAME, repo_type="dataset", exist_ok=True).repo_id == NAME
    api.delete_repo(NAME, repo_type="dataset")
    assert not api.repo_exists(NAME, repo_type="dataset")
    api.create_repo(NAME, repo_type="dataset")
    assert kept(hub) == {}


def post(hub: LoopbackHub, path: str, content: bytes) -> tuple[int, str]:
    """Status and message of a request that huggingface_hub would not send."""
    connection = HTTPConnection(hub.url.removeprefix("http://"))
    connection.request("POST", path, content, {"Authorization": f"Bearer {GOOD}"})
    with connection.getresponse() as response:
        assert response.headers["X-Request-Id"]
        return response.status, response.headers["X-Error-Message"]


@pytest.mark.parametrize("name", ["a b", "a--b", "a.git", "-a", "a/b", "", "é", "a" * 97, "..", None])
def test_names_with_wrong_characters(hub, name):
    created = {"name": name, "organization": "org", "type": "dataset"}
    status, message = post(hub, "/api/repos/create", json.dumps(created).encode())
    assert status == 400 and "Invalid repo name" in message
    assert not list(hub.folder.glob("repositories/**/*"))


def test_a_pointer_without_its_object_is_refused(hub, api):
    lines = [{"key": "header", "value": {"summary": "s"}}]
    lines += [{"key": "lfsFile", "value": {"path": "a.parquet", "oid": "0" * 64, "size": 3}}]
    body = "\n".join(map(json.dumps, lines)).encode()
    status, message = post(hub, f"/api/datasets/{NAME}/commit/main", body)
    assert status == 400 and "does not exist" in message
    assert kept(hub) == {}


def test_a_card_that_is_no_yaml_is_refused(hub, api):
    with pytest.raises(ValueError, match="Invalid metadata"):
        commit(api, {"README.md": b"---\nlicense: [mit\n---\n"})
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        commit(api, {"README.md": b"# No metadata\n"})
    if "https://" not in inspect.getsource(RepoCard.validate):  # else, as in 2.0, it asks the real Hub
        RepoCard(CARD.decode()).validate(repo_type="dataset")
    assert kept(hub) == {"README.md": b"# No metadata\n"}
