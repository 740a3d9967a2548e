"""Calls about pull requests, which the Hub treats as discussions of a repository."""

from typing import Any

from tests.hub.commit_calls import comment_data, event, open_pull_request
from tests.hub.core import REPO, Answer, Core, Request, call, may_write, require_user
from tests.hub.errors import HubRefusalError
from tests.hub.repositories import PullRequest, Repository


def _described(repository: Repository, pull: PullRequest) -> dict[str, Any]:
    about: dict[str, Any] = {
        "num": pull.num,
        "title": pull.title,
        "status": pull.status,
        "createdAt": pull.created,
    }
    about |= {"author": {"name": pull.author}, "isPullRequest": True}
    return {**about, "repo": {"name": repository.name, "type": repository.repo_type}}


def _details(repository: Repository, pull: PullRequest) -> dict[str, Any]:
    changes = {"base": pull.base, "mergeCommitId": pull.merged_as}
    described = _described(repository, pull)
    return {**described, "events": pull.events, "changes": changes, "filesWithConflicts": [], "diff": ""}


def _pull(repository: Repository, num: str) -> PullRequest:
    if int(num) not in repository.pull_requests:
        raise HubRefusalError(404, "Discussion not found")
    return repository.pull_requests[int(num)]


@call("GET", REPO + "/discussions")
def listed(core: Core, request: Request, repo_type: str, name: str) -> Answer:
    repository = core.repository(repo_type, name, request)
    kind, status = request.query.get("type"), request.query.get("status", [None])[0]
    author = request.query.get("author", [None])[0]
    pulls = [
        pull
        for _, pull in sorted(repository.pull_requests.items(), reverse=True)
        if kind != ["discussion"]
        and author in (None, pull.author)
        and status in (None, "all", "open" if pull.status in ("open", "draft") else "closed")
    ]
    told = [_described(repository, pull) for pull in pulls]
    return Answer.json({"discussions": told, "count": len(told), "start": 0})


@call("POST", REPO + "/discussions")
def opened(core: Core, request: Request, repo_type: str, name: str) -> Answer:
    repository, user = core.repository(repo_type, name, request), require_user(request)
    body = request.json()
    if not body.get("pullRequest"):
        raise HubRefusalError(403, "Discussions are disabled for this repo")
    pull = open_pull_request(repository, body["title"], body["description"], user.name, "refs/heads/main")
    pull.status = "draft"
    repository.save()
    return Answer.json(_details(repository, pull))


@call("GET", REPO + r"/discussions/(?P<num>\d+)")
def details(core: Core, request: Request, repo_type: str, name: str, num: str) -> Answer:
    repository = core.repository(repo_type, name, request)
    return Answer.json(_details(repository, _pull(repository, num)))


@call("POST", REPO + r"/discussions/(?P<num>\d+)/comment")
def comment(core: Core, request: Request, repo_type: str, name: str, num: str) -> Answer:
    repository, user = core.repository(repo_type, name, request), require_user(request)
    pull = _pull(repository, num)
    pull.events.append(event(pull, user.name, "comment", comment_data(request.json()["comment"])))
    repository.save()
    return Answer.json({"newMessage": pull.events[-1]})


@call("POST", REPO + r"/discussions/(?P<num>\d+)/status")
def status_change(core: Core, request: Request, repo_type: str, name: str, num: str) -> Answer:
    repository, user = core.repository(repo_type, name, request), require_user(request)
    pull = _pull(repository, num)
    if user.name != pull.author and not may_write(user, name):
        raise HubRefusalError(403, "You don't have the rights to change this discussion's status")
    pull.status = request.json()["status"]
    pull.events.append(event(pull, user.name, "status-change", {"status": pull.status}))
    repository.save()
    return Answer.json({"newStatus": pull.events[-1]})


@call("POST", REPO + r"/discussions/(?P<num>\d+)/merge")
def merge(core: Core, request: Request, repo_type: str, name: str, num: str) -> Answer:
    """Apply the changes of a pull request, relative to its base, to the branch."""
    repository = core.writable(repo_type, name, request)
    user, pull = require_user(request), _pull(repository, num)
    if pull.status not in ("open", "draft"):
        raise HubRefusalError(400, "This pull request is not open")
    head, branch = repository.resolve(f"refs/pr/{pull.num}"), repository.resolve(pull.base)
    ancestors = {commit.sha for commit in repository.history(branch)}
    fork = next(commit for commit in repository.history(head) if commit.sha in ancestors)
    gone = fork.files.keys() - head.files.keys()
    changed = {path: file for path, file in head.files.items() if fork.files.get(path) != file}
    files = {path: file for path, file in branch.files.items() if path not in gone} | changed
    title = f"{pull.title} (#{pull.num})"
    merged = repository.commit(pull.base, files, branch.sha, title, "", user.name)
    pull.status, pull.merged_as = "merged", merged.sha
    pull.events.append(event(pull, user.name, "status-change", {"status": "merged"}))
    repository.save()
    return Answer.json("OK")
