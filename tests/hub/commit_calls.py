"""The calls of a commit: how to send each file, the LFS upload, and the commit itself."""

import base64
import json
from fnmatch import fnmatchcase
from typing import Any

from tests.hub.core import REPO, Answer, Core, Request, call, may_write, require_user
from tests.hub.errors import HubRefusalError, entry_not_found, revision_not_found
from tests.hub.repositories import (
    LFS_ENDINGS,
    LFS_FROM_BYTES,
    PullRequest,
    Repository,
    StoredFile,
    now,
)


def _target(core: Core, request: Request, repo_type: str, name: str, revision: str) -> tuple[Repository, str]:
    """The repository and the full ref that a commit to ``revision`` would move.

    Any user can open a pull request, and its author can commit to its ref.

    Raises: HubRefusalError: no such repository or branch, or no right to it.
    """
    if request.flag("create_pr"):
        repository = core.repository(repo_type, name, request)
        require_user(request)
    elif revision.startswith("refs/pr/"):
        repository = core.repository(repo_type, name, request)
        num = revision.removeprefix("refs/pr/")
        pull = repository.pull_requests.get(int(num)) if num.isdigit() else None
        if pull is None or require_user(request).name != pull.author:
            core.writable(repo_type, name, request)
    else:
        repository = core.writable(repo_type, name, request)
    ref = repository.full_ref(revision)
    if ref is None or ref.startswith("refs/tags/"):
        raise revision_not_found(revision)
    return repository, ref


def _ignored(path: str, patterns: list[str]) -> bool:
    """Whether a plain pattern of a .gitignore matches the path, its last part or one of its folders."""
    parts = path.split("/")
    kept = [line.strip().strip("/") for line in patterns if line.strip() and not line.startswith("#")]
    return any(fnmatchcase(path, glob) or any(fnmatchcase(part, glob) for part in parts) for glob in kept)


@call("POST", REPO + r"/preupload/(?P<revision>[^/]+)")
def preupload(core: Core, request: Request, repo_type: str, name: str, revision: str) -> Answer:
    repository, ref = _target(core, request, repo_type, name, revision)
    body, stored = request.json(), repository.resolve(ref).files
    ignore = body.get("gitIgnore")
    if ignore is None:
        ignore = repository.content(stored[".gitignore"]).decode() if ".gitignore" in stored else ""
    told = []
    for file in body["files"]:
        path = file["path"]
        lfs = path.endswith(LFS_ENDINGS) or file["size"] >= LFS_FROM_BYTES
        told.append(
            {
                "path": path,
                "uploadMode": "lfs" if lfs else "regular",
                "shouldIgnore": _ignored(path, ignore.splitlines()),
                "oid": stored[path].content_oid if path in stored else None,
            }
        )
    return Answer.json({"files": told})


@call("POST", r"/(?P<prefix>datasets/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")
def lfs_batch(core: Core, request: Request, name: str, prefix: str = "") -> Answer:
    """Where to send each object; nothing for objects that are already stored."""
    repo_type = "dataset" if prefix else "model"
    repository = core.repository(repo_type, name, request)
    user, body, objects = require_user(request), request.json(), []
    # A pull request's objects come without a ref, and any user may open one.
    if "ref" in body and not body["ref"]["name"].startswith("refs/pr/") and not may_write(user, name):
        core.writable(repo_type, name, request)
    for wanted in body["objects"]:
        entry: dict[str, Any] = {"oid": wanted["oid"], "size": wanted["size"], "authenticated": True}
        if not repository.has_lfs(wanted["oid"]):
            href = f"{core.url}/lfs/{repo_type}/{name}/{wanted['oid']}?key={core.upload_key}"
            entry["actions"] = {"upload": {"href": href, "header": {}}}
        objects.append(entry)
    return Answer.json({"transfer": "basic", "objects": objects})


@call("PUT", r"/lfs/(?P<repo_type>model|dataset)/(?P<name>[^/]+/[^/]+)/(?P<oid>[0-9a-f]{64})")
def lfs_upload(core: Core, request: Request, repo_type: str, name: str, oid: str) -> Answer:
    if request.query.get("key") != [core.upload_key] or (repo_type, name) not in core.repositories:
        raise HubRefusalError(403, "The address of this upload is not valid")
    core.repositories[repo_type, name].keep_lfs(oid, request.body)
    return Answer(200)


def _apply(repository: Repository, files: dict[str, StoredFile], key: str, value: dict[str, Any]) -> None:
    """Apply one line of a commit to ``files``.

    Raises: HubRefusalError: an object was never uploaded, or a path to delete does not exist.
    """
    path = value["path"]
    if key in ("file", "lfsFile") and (path.startswith("/") or ".." in path.split("/")):
        raise HubRefusalError(400, f"Invalid path: {path}")
    if key == "file":
        content = value["content"]
        encoded = value.get("encoding") == "base64"
        files[path] = repository.keep(base64.b64decode(content) if encoded else content.encode())
    elif key == "lfsFile":
        if not repository.has_lfs(value["oid"]):
            raise HubRefusalError(
                400,
                "Your push was rejected because an LFS pointer pointed to a file that does not exist. "
                f"For instance, this can happen if you used git push --no-verify. Offending file: - {path}",
            )
        size = (repository.folder / "objects" / value["oid"]).stat().st_size
        files[path] = StoredFile.pointer(value["oid"], size)
    elif key == "deletedFile":
        if files.pop(path, None) is None:
            raise entry_not_found(f"A file with this name doesn't exist: {path}")
    elif key == "deletedFolder":
        below = [known for known in files if known.startswith(path.rstrip("/") + "/")]
        if not below:
            raise entry_not_found(f"A file with this name doesn't exist: {path}")
        for known in below:
            del files[known]
    else:
        raise HubRefusalError(400, f"Unknown operation: {key}")


@call("POST", REPO + r"/commit/(?P<revision>[^/]+)")
def commit(core: Core, request: Request, repo_type: str, name: str, revision: str) -> Answer:
    repository, ref = _target(core, request, repo_type, name, revision)
    user = require_user(request)
    lines = [json.loads(line) for line in request.body.splitlines() if line.strip()]
    if not lines or lines[0]["key"] != "header":
        raise HubRefusalError(400, "The first line has to be the header")
    header = lines[0]["value"]
    base, create_pr = repository.resolve(ref), request.flag("create_pr")
    expected = header.get("parentCommit")
    if expected is not None and create_pr:
        base = repository.resolve(expected)
    elif expected is not None and not base.sha.startswith(expected):
        raise HubRefusalError(412, "A commit has happened since. Please refresh and try again.")
    files = dict(base.files)
    for line in lines[1:]:
        _apply(repository, files, line["key"], line["value"])
    title, message = header.get("summary", ""), header.get("description", "")
    pull = open_pull_request(repository, title, message, user.name, ref) if create_pr else None
    made = repository.commit(
        f"refs/pr/{pull.num}" if pull else ref, files, base.sha, title, message, user.name
    )
    address = core.address(repository)
    told: dict[str, Any] = {
        "success": True,
        "commitOid": made.sha,
        "commitUrl": f"{address}/commit/{made.sha}",
    }
    if pull:
        told["pullRequestUrl"] = f"{address}/discussions/{pull.num}"
    return Answer.json(told)


def open_pull_request(
    repository: Repository, title: str, description: str, author: str, base: str
) -> PullRequest:
    """A pull request whose ref starts at ``base``."""
    num = len(repository.pull_requests) + 1
    pull = PullRequest(num, title, author, base)
    pull.events.append(event(pull, author, "comment", comment_data(description)))
    repository.pull_requests[num] = pull
    repository.refs[f"refs/pr/{num}"] = repository.refs[base]
    repository.save()
    return pull


def comment_data(text: str) -> dict[str, Any]:
    return {"edited": False, "hidden": False, "latest": {"raw": text}}


def event(pull: PullRequest, author: str, kind: str, data: dict[str, Any]) -> dict[str, Any]:
    num = f"{pull.num:012x}{len(pull.events):012x}"
    return {"id": num, "type": kind, "createdAt": now(), "author": {"name": author}, "data": data}
