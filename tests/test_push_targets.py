"""Targets of a push: tags, branches, pull requests, private repositories; and permissions."""

import pytest

from tests.hub.core import Core
from tests.hub.errors import HubRefusalError
from tests.hub.fixture import GOOD, OTHER
from tests.pushing import NAME, commit, new, old, pushed, refused, releases, snapshot


def test_a_tag_on_another_release_is_refused_and_on_the_same_one_is_enough(hub, old, new):
    pushed(hub, old, tag="v1.0")
    message = refused(hub, new, "already marks another release", tag="v1.0")
    assert "v1.0" in message and "another tag" in message
    pushed(hub, new, tag="v2.0")
    before = snapshot(hub)
    assert pushed(hub, old, tag="v1.0")[0].startswith("nothing to do: the tag v1.0")
    assert snapshot(hub) == before


def test_a_card_that_was_edited_after_the_tag_does_not_make_it_another_release(hub, old):
    pushed(hub, old, tag="v1.0")
    commit(hub, README__md=hub.repository(NAME).files()["README.md"] + b"\nMine.\n")
    before = snapshot(hub)
    assert pushed(hub, old, tag="v1.0")[0].startswith("nothing to do")
    assert snapshot(hub) == before


def test_a_tag_that_is_missing_is_added_without_a_commit(hub, old):
    pushed(hub, old)
    before = snapshot(hub)
    assert len(pushed(hub, old, tag="v1.0")) == 2
    assert snapshot(hub) == {**before, "refs/tags/v1.0": before["refs/heads/main"]}


def test_a_private_repository(hub, old):
    assert "(private)" in pushed(hub, old, private=True)[0]
    assert hub.repository(NAME).private
    assert pushed(hub, old)[0].startswith("nothing to commit")
    assert hub.repository(NAME).private


def test_private_does_not_pretend_on_a_public_repository(hub, old, new):
    pushed(hub, old)
    refused(hub, new, "is public", private=True)


def test_a_branch_is_made_and_main_stays(hub, old, new):
    pushed(hub, old, tag="v1.0")
    main = snapshot(hub)["refs/heads/main"]
    said = pushed(hub, new, revision="dev", tag="v2.0")
    assert said[0] == "created the branch dev from main"
    after = snapshot(hub)
    assert after["refs/heads/main"] == main
    assert after["refs/heads/dev"] == after["refs/tags/v2.0"] != main
    assert pushed(hub, new, revision="dev")[0].startswith("nothing to commit")
    refused(hub, new, "is a tag", revision="v1.0")


def test_a_pull_request_is_opened_once(hub, old, new):
    pushed(hub, old)
    main = snapshot(hub)["refs/heads/main"]
    (said,) = pushed(hub, new, create_pr=True)
    assert f"{hub.url}/datasets/{NAME}/discussions/1" in said
    after = snapshot(hub)
    assert after["refs/heads/main"] == main
    assert "phone_book_30/test-00000-of-00001.parquet" in hub.repository(NAME).files("refs/pr/1")
    (said,) = pushed(hub, new, create_pr=True)
    assert said.startswith("nothing to do: the pull request") and snapshot(hub) == after
    hub.api(GOOD).merge_pull_request(NAME, 1, repo_type="dataset")
    assert pushed(hub, new)[0].startswith("nothing to commit")


def test_a_commit_is_added_to_a_pull_request(hub, old, new):
    pushed(hub, old)
    before = snapshot(hub)
    pushed(hub, new, create_pr=True)
    (said,) = pushed(hub, old, revision="refs/pr/1")
    assert said.startswith("committed ")
    assert hub.repository(NAME).files("refs/pr/1") == hub.repository(NAME).files()
    assert snapshot(hub)["refs/heads/main"] == before["refs/heads/main"]


def test_others_may_open_a_pull_request(hub, old, new):
    pushed(hub, old)
    refused(hub, new, "does not permit this", token=OTHER)
    pushed(hub, new, token=OTHER, create_pr=True)
    assert "refs/pr/1" in snapshot(hub)


@pytest.mark.parametrize(
    ("target", "match"),
    [
        ({"create_pr": True, "tag": "v1.0"}, "cannot be tagged before it is merged"),
        ({"create_pr": True}, "no data set"),
        ({"name": "benchmark"}, "ORG/NAME"),
        ({"name": "org/a/b"}, "ORG/NAME"),
        ({"name": "org/-a"}, "ORG/NAME"),
        ({"tag": "v 1"}, "is not a valid tag"),
        ({"tag": "v1..0"}, "is not a valid tag"),
        ({"tag": ""}, "is not a valid tag"),
        ({"revision": "a b"}, "name of a branch"),
        ({"revision": "0" * 40}, "name of a branch"),
        ({"revision": "../x"}, "name of a branch"),
        ({"token": None}, "no token"),
        ({"token": "hf_wrong"}, "does not accept the token"),
        ({"token": OTHER}, "does not permit this"),
    ],
)
def test_slips_are_one_sentence(hub, old, target, match):
    refused(hub, old, match, **target)
    assert not any(path.startswith(("/lfs", "/datasets")) for _, path, _ in hub.log)


def test_an_expired_token_does_not_mean_that_the_repository_is_missing(hub, old, monkeypatch):
    def user(self, authorization):
        # over https, huggingface_hub takes every 401 of this address for a missing repository
        raise HubRefusalError(401, 'User Access Token "mine" is expired', "RepoNotFound")

    monkeypatch.setattr(Core, "user", user)
    refused(hub, old, "does not accept the token", create_pr=True)


def test_no_branch_to_open_a_pull_request_on(hub, old, new):
    pushed(hub, old)
    refused(hub, new, "no branch 'dev'", create_pr=True, revision="dev")
