"""Requests, answers, permissions, and the table of calls."""

import json
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.hub.errors import HubRefusalError, repo_not_found
from tests.hub.repositories import Repository


@dataclass(frozen=True)
class User:
    """``namespaces`` are the user and the organizations whose repositories the token may write to."""

    name: str
    namespaces: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """``path`` is still percent-encoded; ``user`` is None without a token."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes
    user: User | None

    def flag(self, name: str) -> bool:
        return self.query.get(name, ["0"])[0].lower() in ("1", "true")

    def json(self) -> Any:
        try:
            return json.loads(self.body or b"{}")
        except ValueError:
            raise HubRefusalError(400, "Invalid JSON in the request's body") from None


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, **headers: str) -> "Answer":
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


class Core:
    """The Hub without HTTP: users, repositories and permissions.

    Attributes:
        url: address for clients, without a final slash.
        users: token -> user.
        repositories: (type, ``ORG/NAME``) -> repository.
        upload_key: key in the address of an LFS upload, in place of a token.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.users: dict[str, User] = {}
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.upload_key = secrets.token_hex(8)

    def user(self, authorization: str | None) -> User | None:
        """Raises: HubRefusalError: the token belongs to no user."""
        if authorization is None:
            return None
        user = self.users.get(authorization.removeprefix("Bearer "))
        if user is None:
            raise HubRefusalError(401, "Invalid credentials in Authorization header")
        return user

    def repository(self, repo_type: str, name: str, request: Request) -> Repository:
        """A repository that the request may read; for other users, a private repository does not exist.

        Raises: HubRefusalError: there is none.
        """
        user, found = request.user, self.repositories.get((repo_type, name))
        if found is None or (found.private and not may_write(user, name)):
            raise repo_not_found(user is not None)
        return found

    def writable(self, repo_type: str, name: str, request: Request) -> Repository:
        """A repository that the request may change.

        Raises: HubRefusalError: it does not exist, or the token may not write to it.
        """
        found = self.repository(repo_type, name, request)
        require_user(request)
        if not may_write(request.user, name):
            raise HubRefusalError(
                403, 'Forbidden: pass "create_pr=1" as a query parameter to create a Pull Request instead.'
            )
        return found

    def address(self, repository: Repository) -> str:
        prefix = "" if repository.repo_type == "model" else f"{repository.repo_type}s/"
        return f"{self.url}/{prefix}{repository.name}"


def may_write(user: User | None, name: str) -> bool:
    return user is not None and name.partition("/")[0] in user.namespaces


def require_user(request: Request) -> User:
    """Raises: HubRefusalError: the request has no token."""
    if request.user is None:
        raise HubRefusalError(401, "Invalid username or password.")
    return request.user


Call = Callable[..., Answer]
CALLS: list[tuple[str, re.Pattern[str], Call]] = []

REPO = r"/api/(?P<repo_type>model|dataset)s/(?P<name>[^/]+/[^/]+)"


def call(method: str, pattern: str) -> Callable[[Call], Call]:
    """Register ``function(core, request, **groups of the pattern)`` for paths that match completely."""

    def register(function: Call) -> Call:
        CALLS.append((method, re.compile(pattern), function))
        return function

    return register


def answer(core: Core, request: Request) -> Answer:
    """Raises: HubRefusalError: the Hub refuses this request."""
    for method, pattern, function in CALLS:
        match = pattern.fullmatch(request.path)
        if match and method == request.method:
            groups = {key: unquote(value) for key, value in match.groupdict().items() if value is not None}
            return function(core, request, **groups)
    if re.match(r"/api/(model|dataset|space)s/", request.path):
        raise repo_not_found(request.user is not None)
    raise HubRefusalError(404, f"Cannot {request.method} {request.path}")


def refused(refusal: HubRefusalError) -> Answer:
    headers = {"X-Error-Message": refusal.message}
    if refusal.code:
        headers["X-Error-Code"] = refusal.code
    return Answer.json({"error": refusal.message}, refusal.status, **headers)
