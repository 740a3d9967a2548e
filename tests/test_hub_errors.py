"""Errors of the Hub, the network and the disk are one sentence, without any token."""

import json
import logging
import traceback

import pytest
from huggingface_hub import (
    CommitOperationAdd,
    CommitOperationDelete,
    constants,
    get_hf_file_metadata,
    hf_hub_url,
)

from dataset_builders import InputError
from dataset_builders.hub import check_repo_id, hub_errors, other_type
from tests.hub.fixture import GOOD, OTHER

pytest.importorskip("httpx2", reason="huggingface-hub below 2 has another HTTP library")

NAME = "org/benchmark"
SECRET = "hf_abcdefghijklmnopqrstuvwxyz01234567"
TOKENS = (GOOD, OTHER, SECRET)


@pytest.fixture
def api(hub):
    made = hub.api(GOOD)
    made.create_repo(NAME, repo_type="dataset")
    made.create_repo("org/weights", repo_type="model")
    made.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=NAME, repo_type="dataset")
    return made


def commit(api, path="b", content=b"2", **options):
    operations = [CommitOperationAdd(path, content)]
    return api.create_commit(NAME, operations, commit_message="m", repo_type="dataset", **options)


def download(api, path="a", name=NAME, **options):
    return api.hf_hub_download(name, path, repo_type="dataset", **options)


def told(action, doing="use the data set 'org/benchmark'") -> str:
    """The error message of an action; neither it nor its traceback contains a token."""
    with pytest.raises(InputError) as caught, hub_errors(doing):
        action()
    sentence, shown = str(caught.value), "".join(traceback.format_exception(caught.value))
    assert sentence.startswith(f"cannot {doing}: ") and "\n" not in sentence
    assert "direct cause" not in shown and "During handling" not in shown
    assert not [token for token in TOKENS if token in shown + repr(vars(caught.value))]
    return sentence.removeprefix(f"cannot {doing}: ")


ACCOUNTS = {
    "wrong token asked who": (SECRET, lambda api: api.whoami(), "does not accept the token; set HF_TOKEN"),
    "wrong token": (SECRET, commit, "does not accept the token; set HF_TOKEN to another"),
    "wrong token reading": (SECRET, lambda api: api.dataset_info(NAME), "does not accept the token"),
    "wrong token download": (SECRET, download, "does not accept the token"),
    "no token": (None, commit, "requires a token; set HF_TOKEN or run `hf auth login`"),
    "no token creating": (None, lambda api: api.create_repo("org/b"), "requires a token; set HF_TOKEN"),
    "no token at all": (
        None,
        lambda api: type(api)(api.endpoint).whoami(),
        "there is no token; set HF_TOKEN",
    ),
    "no rights": (OTHER, commit, "does not permit this (Forbidden: pass"),
    "no rights to create": (
        OTHER,
        lambda api: api.create_repo("org/b"),
        'under the namespace "org"); use one',
    ),
    "token with a line end": (f"{SECRET}\nx", commit, "invalid characters"),
    "token with an ellipsis": (f"{SECRET}…", commit, "invalid characters"),
    "gated": (OTHER, lambda api: download(api, name="org/gated"), "data set 'org/gated' is gated; request"),
    "private": (OTHER, lambda api: download(api, name="org/private"), "and that the token has access to it"),
    "private, no token": (
        None,
        lambda api: download(api, name="org/private"),
        "if it is private, set HF_TOKEN",
    ),
}


@pytest.mark.parametrize("case", ACCOUNTS)
def test_accounts(hub, api, case, caplog, capfd):
    caplog.set_level(logging.INFO)
    for name in ("org/gated", "org/private"):
        api.create_repo(name, repo_type="dataset")
        api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id=name, repo_type="dataset")
    hub.repository("org/gated").gated = True
    hub.repository("org/private").private = True
    token, action, expected = ACCOUNTS[case]
    assert expected in told(lambda: action(hub.api(token)))
    written = caplog.text + "".join(capfd.readouterr())
    assert not [token for token in TOKENS if token in written]


MISSING = {
    "repository": (lambda api: api.dataset_info("org/none"), "the data set 'org/none' was not found"),
    "other type": (lambda api: api.dataset_info("org/weights"), "the data set 'org/weights' was not found"),
    "model": (lambda api: api.model_info("org/none"), "the model 'org/none' was not found"),
    "committing to none": (
        lambda api: api.upload_file(path_or_fileobj=b"1", path_in_repo="a", repo_id="org/none"),
        "the model 'org/none' was not found",
    ),
    "revision": (lambda api: download(api, revision="v/9"), "has no branch, tag or commit 'v/9'"),
    "branch to commit to": (lambda api: commit(api, revision="next"), "has no branch, tag or commit 'next'"),
    "tag to delete": (lambda api: api.delete_tag(NAME, tag="v1", repo_type="dataset"), "tag or commit 'v1'"),
    "file": (lambda api: download(api, "x y.txt"), "data set 'org/benchmark' has no file 'x y.txt'"),
    "file to delete": (
        lambda api: api.create_commit(
            NAME, [CommitOperationDelete("x")], commit_message="m", repo_type="dataset"
        ),
        "A file with this name doesn't exist: x",
    ),
    "name": (lambda api: api.dataset_info("org//x"), "'org//x'"),
    "existing": (lambda api: api.create_repo(NAME, repo_type="dataset"), "already exists (You already"),
    "parent": (lambda api: commit(api, parent_commit="0" * 40), "someone else has changed the repository"),
    "card": (lambda api: commit(api, "README.md", b"---\na: [\n---\n"), "Invalid metadata in README.md"),
    "size of a pointer": (
        lambda api: api.get_discussion_details(NAME, 7, repo_type="dataset"),
        "refused the request with status 404 (Discussion not found)",
    ),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_missing_or_wrong(api, case):
    action, expected = MISSING[case]
    assert expected in told(lambda: action(api))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("refuse", "was closed; run the command again"),
        ("cut", "was closed; run the command again"),
        ("reset", "was closed; run the command again"),
        ("drop_after", "was closed; run the command again"),
        ("500", "the Hub has an internal error (status 500); run the command again in a few minutes"),
        ("502", "the Hub has an internal error (status 502)"),
        ("503", "the Hub has an internal error (status 503)"),
        ("412", "someone else has changed the repository"),
        ("429", "the Hub's rate limit was reached"),
    ],
)
def test_faults_on_the_way(hub, api, kind, expected):
    """At a call without retries, at one with retries, and inside the client's upload threads."""
    for match in ("/commit/", "/preupload/", "^/lfs/"):
        hub.fail(kind, match=("POST|PUT", match), always=True)
        content = f"{kind} {match}".encode()
        sentence = told(lambda content=content: commit(api, "b.parquet", content))
        assert expected in sentence
        assert "was closed" not in expected or hub.url in sentence
        hub.heal()


def test_a_gateway_page_where_json_was_expected(hub, api):
    hub.fail("502", match=("POST", "/validate-yaml"))
    sentence = told(lambda: commit(api, "README.md", b"---\nlicense: mit\n---\n"))
    assert sentence.startswith("the response is not from the Hub; check HF_ENDPOINT and the proxy")


def test_no_answer_in_time(hub, api):
    hub.fail("timeout", match=("HEAD", ""))
    url = hf_hub_url(NAME, "a", repo_type="dataset", endpoint=hub.url)
    sentence = told(lambda: get_hf_file_metadata(url, timeout=0.2, token=GOOD))
    assert sentence == f"{hub.url} timed out; run the command again in a few minutes"


def test_nobody_there(hub, api):
    hub.close()
    expected = f"{hub.url} cannot be reached; check the network, the proxy and HF_ENDPOINT"
    for action in (commit, download, lambda api: api.dataset_info(NAME)):
        assert told(lambda action=action: action(api)) == expected
    assert "correct or unset HF_ENDPOINT" in told(lambda: type(api)("htp//x", token=GOOD).dataset_info(NAME))


def test_offline(hub, api, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for action in (commit, download, lambda api: api.snapshot_download(NAME, repo_type="dataset")):
        assert (
            told(lambda action=action: action(api))
            == "access to the Hub is disabled by HF_HUB_OFFLINE; unset it"
        )
    sentence = told(lambda: download(api, local_files_only=True))
    assert sentence.startswith("it is not in the cache, and the Hub cannot be reached")


def test_the_disk(api, tmp_path):
    file = tmp_path / "file"
    file.write_text("here")
    sentence = told(lambda: download(api, cache_dir=file / "below"))
    assert sentence.startswith("Not a directory: ") and str(file) in sentence


@pytest.mark.parametrize(
    "bug",
    [
        KeyError("x"),
        TypeError("x"),
        ValueError("x"),
        RuntimeError("x"),
        AssertionError(),
        json.JSONDecodeError("x", "", 0),
    ],
)
def test_bugs_keep_their_traceback(bug):
    with pytest.raises(type(bug)) as caught, hub_errors("push"):
        raise bug
    assert caught.value is bug


def test_a_bug_after_an_error_of_the_hub_is_a_bug(api):
    with pytest.raises(KeyError), hub_errors("push"):
        try:
            api.dataset_info("org/none")
        except OSError:
            {}["bug"]


def test_our_own_sentence_stays():
    with pytest.raises(InputError, match="^mine$"), hub_errors("push"):
        raise InputError("mine")
    with pytest.raises(KeyboardInterrupt), hub_errors("push"):
        raise KeyboardInterrupt


def test_tokens_and_signatures_are_blotted_out(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "oauth-secret-of-no-form")
    url = "http://me:pass@127.0.0.1/lfs?X-Signature=abc"
    for text in (f"oauth-secret-of-no-form {url}", f"{SECRET} in {url}"):
        sentence = told(lambda text=text: (_ for _ in ()).throw(OSError(text)))
        assert "***" in sentence and "oauth" not in sentence
        assert "pass" not in sentence and "abc" not in sentence and "127.0.0.1/lfs" in sentence


BAD_NAMES = ["x", "a/b/c", "", "org/", "/x", "org/a b", "org/é", "org/a--b", "org/..", "org/-x", "org/x.git"]
BAD_NAMES += ["org/x\n", "o/" + "x" * 97, "https://huggingface.co/datasets/org/x", "hf://datasets/org/x"]
BAD_NAMES += ["datasets/org", "datasets/org/x"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_no_repository_has(name):
    with pytest.raises(InputError, match="use ORG/NAME") as caught:
        check_repo_id(name)
    assert "\n" not in str(caught.value) and repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["org/x", "Org-1/x_y.z", "o/" + "x" * 94])
def test_names_that_a_repository_may_have(name):
    check_repo_id(name)


def test_the_type_under_which_a_name_exists(api):
    assert other_type(api, "org/weights", "dataset") == "model"
    assert other_type(api, NAME, "model") == "dataset"
    assert other_type(api, NAME, "dataset") is None
    assert other_type(api, "org/none", "dataset") is None
