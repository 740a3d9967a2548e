"""Repositories on disk: immutable commits, refs that point at them, and pull requests."""

import hashlib
import json
import re
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.hub.errors import HubRefusalError, revision_not_found

TYPES = ("model", "dataset")
NAME = re.compile(r"^(?!.*(?:--|\.\.))[A-Za-z0-9_][A-Za-z0-9._-]{0,95}(?<![-.])(?<!\.git)$")
LFS_ENDINGS = (".arrow", ".bin", ".gz", ".npy", ".npz", ".parquet", ".safetensors", ".tar", ".zip")
LFS_FROM_BYTES = 10 * 1024 * 1024
GIT_ATTRIBUTES = "".join(f"*{ending} filter=lfs diff=lfs merge=lfs -text\n" for ending in LFS_ENDINGS)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


@dataclass(frozen=True)
class StoredFile:
    """A file of a commit. ``sha256`` is that of the LFS object; None for a regular file."""

    size: int
    oid: str
    sha256: str | None = None

    @classmethod
    def pointer(cls, sha256: str, size: int) -> "StoredFile":
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n"
        return cls(size, git_sha1(text.encode()), sha256)

    @property
    def content_oid(self) -> str:
        """The oid that huggingface_hub compares with that of a local file."""
        return self.sha256 or self.oid


@dataclass(frozen=True)
class Commit:
    """An immutable snapshot; ``sha`` depends on the content, the parent and the message."""

    files: dict[str, StoredFile]
    parent: str | None
    title: str
    message: str
    author: str
    date: str
    sha: str = ""


@dataclass
class PullRequest:
    num: int
    title: str
    author: str
    base: str
    status: str = "open"
    merged_as: str | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    created: str = field(default_factory=now)


class Repository:
    """A repository in its own folder.

    ``objects`` contains files by digest, ``commits`` one JSON file per commit, ``state.json`` what changes:
    whether it is private, its branches, tags, pull requests. A full ref is ``refs/heads/main``,
    ``refs/tags/v1`` or ``refs/pr/1``.
    """

    def __init__(self, folder: Path, repo_type: str, name: str) -> None:
        self.folder, self.repo_type, self.name = folder, repo_type, name
        state = json.loads((folder / "state.json").read_text())
        self.private: bool = state["private"]
        self.gated: bool = state["gated"]
        self.refs: dict[str, str] = state["refs"]
        self.pull_requests = {int(num): PullRequest(**kept) for num, kept in state["pull_requests"].items()}

    @classmethod
    def create(cls, folder: Path, repo_type: str, name: str, private: bool, author: str) -> "Repository":
        for part in ("objects", "commits"):
            (folder / part).mkdir(parents=True)
        state = {"private": private, "gated": False, "refs": {}, "pull_requests": {}}
        (folder / "state.json").write_text(json.dumps(state))
        repository = cls(folder, repo_type, name)
        first = {".gitattributes": repository.keep(GIT_ATTRIBUTES.encode())}
        repository.commit("refs/heads/main", first, None, "initial commit", "", author)
        return repository

    def save(self) -> None:
        state = {
            "private": self.private,
            "gated": self.gated,
            "refs": self.refs,
            "pull_requests": {num: asdict(kept) for num, kept in self.pull_requests.items()},
        }
        beside = self.folder / "state.json.new"
        beside.write_text(json.dumps(state))
        beside.replace(self.folder / "state.json")

    def keep(self, content: bytes) -> StoredFile:
        """Store a regular file's content."""
        oid = git_sha1(content)
        (self.folder / "objects" / oid).write_bytes(content)
        return StoredFile(len(content), oid)

    def keep_lfs(self, sha256: str, content: bytes) -> None:
        """Store an uploaded object atomically.

        Raises: HubRefusalError: the content is not the announced one.
        """
        if hashlib.sha256(content).hexdigest() != sha256:
            raise HubRefusalError(400, "The content does not match its SHA-256")
        beside = self.folder / "objects" / f"{sha256}.{uuid.uuid4().hex}"
        beside.write_bytes(content)
        beside.replace(self.folder / "objects" / sha256)

    def has_lfs(self, sha256: str) -> bool:
        return (self.folder / "objects" / sha256).is_file()

    def content(self, file: StoredFile) -> bytes:
        return (self.folder / "objects" / file.content_oid).read_bytes()

    def read_commit(self, sha: str) -> Commit:
        kept = json.loads((self.folder / "commits" / f"{sha}.json").read_text())
        kept["files"] = {path: StoredFile(**file) for path, file in kept["files"].items()}
        return Commit(**kept)

    def commit(
        self,
        ref: str | None,
        files: dict[str, StoredFile],
        parent: str | None,
        title: str,
        message: str,
        author: str,
    ) -> Commit:
        """Write a commit, and move ``ref`` to it if given."""
        content = {path: asdict(file) for path, file in sorted(files.items())}
        told = json.dumps([content, parent, title, message]).encode()
        sha = hashlib.sha1(told, usedforsecurity=False).hexdigest()
        kept = {"files": content, "parent": parent, "title": title, "message": message}
        kept |= {"author": author, "date": now(), "sha": sha}
        (self.folder / "commits" / f"{sha}.json").write_text(json.dumps(kept))
        if ref is not None:
            self.refs[ref] = sha
            self.save()
        return self.read_commit(sha)

    def full_ref(self, revision: str) -> str | None:
        """The ref that a revision names; None for a commit, or if it does not exist."""
        for ref in (revision, f"refs/heads/{revision}", f"refs/tags/{revision}"):
            if ref in self.refs:
                return ref
        return None

    def resolve(self, revision: str) -> Commit:
        """The commit that a branch, tag, pull request or (shortened) sha names.

        Raises: HubRefusalError: there is none.
        """
        ref = self.full_ref(revision)
        if ref is not None:
            return self.read_commit(self.refs[ref])
        if re.fullmatch(r"[0-9a-f]{7,40}", revision):
            found = [path.stem for path in (self.folder / "commits").glob(f"{revision}*.json")]
            if len(found) == 1:
                return self.read_commit(found[0])
        raise revision_not_found(revision)

    def history(self, commit: Commit) -> Iterable[Commit]:
        """The commit and its ancestors, newest first."""
        while True:
            yield commit
            if commit.parent is None:
                return
            commit = self.read_commit(commit.parent)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        """All files of a revision with their contents."""
        return {path: self.content(file) for path, file in self.resolve(revision).files.items()}
