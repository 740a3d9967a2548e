"""Calls about repositories, their refs and their files."""

import mimetypes
import re
from typing import Any
from urllib.parse import parse_qs

from tests.hub.core import REPO, Answer, Core, Request, call, may_write
from tests.hub.errors import HubRefusalError, entry_not_found, repo_not_found, revision_not_found
from tests.hub.repositories import Commit, Repository, StoredFile


@call("GET", REPO + r"(/revision/(?P<revision>[^/]+))?")
def info(core: Core, request: Request, repo_type: str, name: str, revision: str = "main") -> Answer:
    repository = core.repository(repo_type, name, request)
    commit = repository.resolve(revision)
    siblings: list[dict[str, Any]] = []
    for path, file in sorted(commit.files.items()):
        sibling: dict[str, Any] = {"rfilename": path}
        if request.flag("blobs"):
            described = described_file(path, file)
            sibling |= {"size": file.size, "blobId": file.oid}
            if file.sha256:
                sibling["lfs"] = {**described["lfs"], "sha256": file.sha256}
        siblings.append(sibling)
    about: dict[str, Any] = {
        "_id": commit.sha[:24],
        "id": name,
        "author": name.partition("/")[0],
        "sha": commit.sha,
    }
    about |= {
        "private": repository.private,
        "gated": "auto" if repository.gated else False,
        "disabled": False,
    }
    about |= {"lastModified": commit.date, "createdAt": commit.date, "downloads": 0, "likes": 0}
    return Answer.json({**about, "tags": [], "siblings": siblings})


def described_file(path: str, file: StoredFile) -> dict[str, Any]:
    described: dict[str, Any] = {"type": "file", "oid": file.oid, "size": file.size, "path": path}
    if file.sha256:
        described["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": 120 + len(str(file.size))}
    return described


def folders(files: dict[str, StoredFile]) -> set[str]:
    return {"/".join(path.split("/")[:depth]) for path in files for depth in range(1, path.count("/") + 1)}


def described_paths(commit: Commit, paths: list[str], expand: bool) -> list[dict[str, Any]]:
    known_folders, described = folders(commit.files), []
    for path in paths:
        if path in commit.files:
            described.append(described_file(path, commit.files[path]))
        elif path in known_folders:
            described.append({"type": "directory", "oid": commit.sha, "size": 0, "path": path})
    if expand:
        last = {"id": commit.sha, "title": commit.title, "date": commit.date}
        described = [{**entry, "lastCommit": last} for entry in described]
    return described


@call("GET", REPO + r"/tree/(?P<revision>[^/]+)(/(?P<folder>.*))?")
def tree(core: Core, request: Request, repo_type: str, name: str, revision: str, folder: str = "") -> Answer:
    commit = core.repository(repo_type, name, request).resolve(revision)
    folder = folder.strip("/")
    known = folders(commit.files)
    if folder and folder not in known:
        raise entry_not_found(f"{folder} does not exist on {revision}")
    start = f"{folder}/" if folder else ""
    below = sorted(path for path in {*commit.files, *known} if path.startswith(start))
    if not request.flag("recursive"):
        below = [path for path in below if "/" not in path.removeprefix(start)]
    return Answer.json(described_paths(commit, below, request.flag("expand")))


@call("POST", REPO + r"/paths-info/(?P<revision>[^/]+)")
def paths_info(core: Core, request: Request, repo_type: str, name: str, revision: str) -> Answer:
    commit = core.repository(repo_type, name, request).resolve(revision)
    if "json" in request.headers.get("content-type", ""):
        asked = request.json()
        paths, expand = asked["paths"], bool(asked.get("expand"))
    else:
        form = parse_qs(request.body.decode())
        paths, expand = form.get("paths", []), form.get("expand", ["false"])[0].lower() == "true"
    return Answer.json(described_paths(commit, [path.strip("/") for path in paths], expand))


@call("GET", REPO + "/refs")
def refs(core: Core, request: Request, repo_type: str, name: str) -> Answer:
    repository = core.repository(repo_type, name, request)

    def under(prefix: str) -> list[dict[str, str]]:
        return [
            {"name": ref.removeprefix(prefix), "ref": ref, "targetCommit": sha}
            for ref, sha in sorted(repository.refs.items())
            if ref.startswith(prefix)
        ]

    pulls = [{**ref, "name": ref["ref"]} for ref in under("refs/pr/")]
    known = {"branches": under("refs/heads/"), "converts": [], "tags": under("refs/tags/")}
    return Answer.json({**known, "pullRequests": pulls} if request.flag("include_prs") else known)


@call("GET", REPO + r"/commits/(?P<revision>[^/]+)")
def commits(core: Core, request: Request, repo_type: str, name: str, revision: str) -> Answer:
    repository = core.repository(repo_type, name, request)
    return Answer.json(
        [
            {"id": commit.sha, "title": commit.title, "message": commit.message, "date": commit.date}
            | {"authors": [{"user": commit.author}]}
            for commit in repository.history(repository.resolve(revision))
        ]
    )


def _add_ref(core: Core, request: Request, repository: Repository, ref: str, start: str) -> Answer:
    if ref in repository.refs:
        raise HubRefusalError(409, f"Reference already exists: {ref}")
    repository.refs[ref] = repository.resolve(start).sha
    repository.save()
    return Answer.json({"ref": ref})


@call("POST", REPO + r"/branch/(?P<branch>[^/]+)")
def create_branch(core: Core, request: Request, repo_type: str, name: str, branch: str) -> Answer:
    start = request.json().get("startingPoint") or "main"
    return _add_ref(core, request, core.writable(repo_type, name, request), f"refs/heads/{branch}", start)


@call("POST", REPO + r"/tag/(?P<revision>[^/]+)")
def create_tag(core: Core, request: Request, repo_type: str, name: str, revision: str) -> Answer:
    tag = request.json()["tag"]
    return _add_ref(core, request, core.writable(repo_type, name, request), f"refs/tags/{tag}", revision)


@call("DELETE", REPO + r"/(?P<kind>branch|tag)/(?P<ref>[^/]+)")
def delete_ref(core: Core, request: Request, repo_type: str, name: str, kind: str, ref: str) -> Answer:
    repository = core.writable(repo_type, name, request)
    full = f"refs/{'heads' if kind == 'branch' else 'tags'}/{ref}"
    if full == "refs/heads/main":
        raise HubRefusalError(403, "Cannot delete the default branch")
    if repository.refs.pop(full, None) is None:
        raise revision_not_found(ref)
    repository.save()
    return Answer.json("OK")


@call("GET", r"/(?P<prefix>datasets/)?(?P<name>[^/]+/[^/]+)/(resolve|raw)/(?P<revision>[^/]+)/(?P<path>.+)")
def resolve(core: Core, request: Request, name: str, revision: str, path: str, prefix: str = "") -> Answer:
    repository = core.repository("dataset" if prefix else "model", name, request)
    if repository.gated and not may_write(request.user, name):
        status = 401 if request.user is None else 403
        raise HubRefusalError(status, f"Access to {repository.repo_type} {name} is restricted.", "GatedRepo")
    commit = repository.resolve(revision)
    if path not in commit.files:
        missing = entry_not_found()
        about = {
            "X-Error-Code": missing.code,
            "X-Error-Message": missing.message,
            "X-Repo-Commit": commit.sha,
        }
        return Answer.json({"error": missing.message}, 404, **about)
    file = commit.files[path]
    headers = {"X-Repo-Commit": commit.sha, "ETag": f'"{file.content_oid}"', "Accept-Ranges": "bytes"}
    headers["Content-Type"] = mimetypes.guess_type(path)[0] or "application/octet-stream"
    if file.sha256:
        headers |= {"X-Linked-Size": str(file.size), "X-Linked-Etag": f'"{file.sha256}"'}
    return _ranged(request, repository.content(file), headers)


def _ranged(request: Request, content: bytes, headers: dict[str, str]) -> Answer:
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", request.headers.get("range", ""))
    if asked is None or not any(asked.groups()):
        return Answer(200, content, headers)
    size = len(content)
    first = int(asked[1]) if asked[1] else max(size - int(asked[2]), 0)
    last = min(int(asked[2]), size - 1) if asked[1] and asked[2] else size - 1
    if first >= size or first > last:
        return Answer(416, b"", {**headers, "Content-Range": f"bytes */{size}"})
    return Answer(
        206, content[first : last + 1], {**headers, "Content-Range": f"bytes {first}-{last}/{size}"}
    )


@call("GET", r"/api/(model|dataset)s/[^/]+")
def without_namespace(core: Core, request: Request) -> Answer:
    raise repo_not_found(request.user is not None)
