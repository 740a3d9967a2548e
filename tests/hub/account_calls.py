"""Calls about accounts, and calls that create, change and delete repositories."""

import re

import yaml

from tests.hub.core import REPO, Answer, Core, Request, call, may_write, require_user
from tests.hub.errors import HubRefusalError
from tests.hub.repositories import NAME, TYPES, Repository


@call("GET", "/api/whoami-v2")
def whoami(core: Core, request: Request) -> Answer:
    user = require_user(request)
    organizations = [{"name": name, "type": "org"} for name in user.namespaces if name != user.name]
    return Answer.json(
        {"type": "user", "name": user.name, "orgs": organizations, "auth": {"type": "access_token"}}
    )


@call("POST", "/api/validate-yaml")
def validate_yaml(core: Core, request: Request) -> Answer:
    """The front matter must be a YAML mapping; an empty one causes a warning."""
    found = re.match(r"\s*---\r?\n(.*?)\r?\n?---\s*(\r?\n|$)", request.json()["content"], re.DOTALL)
    if not found or not found[1].strip():
        warning = {"message": "empty or missing yaml metadata in repo card"}
        return Answer.json({"errors": [], "warnings": [warning]})
    try:
        metadata = yaml.safe_load(found[1])
    except yaml.YAMLError as error:
        return Answer.json({"errors": [{"message": f"YAML: {error}"}], "warnings": []}, 400)
    if not isinstance(metadata, dict):
        return Answer.json({"errors": [{"message": "metadata must be a mapping"}], "warnings": []}, 400)
    return Answer.json({"errors": [], "warnings": []})


def _named(core: Core, request: Request) -> tuple[str, str]:
    """Type and ``ORG/NAME`` of the repository that a request's body names."""
    user, body = require_user(request), request.json()
    repo_type, organization = body.get("type") or "model", body.get("organization") or user.name
    if repo_type not in TYPES:
        raise HubRefusalError(400, f"Invalid repo type: {repo_type}")
    if not all(isinstance(part, str) and NAME.match(part) for part in (organization, body.get("name"))):
        raise HubRefusalError(400, f"Invalid repo name: {organization}/{body.get('name')}")
    return repo_type, f"{organization}/{body['name']}"


@call("POST", "/api/repos/create")
def create(core: Core, request: Request) -> Answer:
    user, body = require_user(request), request.json()
    repo_type, name = _named(core, request)
    namespace = name.partition("/")[0]
    if not may_write(user, name):
        raise HubRefusalError(
            403, f'You don\'t have the rights to create a {repo_type} under the namespace "{namespace}"'
        )
    if (repo_type, name) in core.repositories:
        existing = core.address(core.repositories[repo_type, name])
        message = f"You already created this {repo_type} repo"
        return Answer.json({"error": message, "url": existing}, 409, **{"X-Error-Message": message})
    private = body.get("visibility") == "private" or bool(body.get("private"))
    folder = core.folder / f"{repo_type}s" / name
    repository = Repository.create(folder, repo_type, name, private, user.name)
    core.repositories[repo_type, name] = repository
    return Answer.json({"url": core.address(repository), "name": name, "private": private})


@call("DELETE", "/api/repos/delete")
def delete(core: Core, request: Request) -> Answer:
    repo_type, name = _named(core, request)
    repository = core.writable(repo_type, name, request)
    del core.repositories[repo_type, name]
    repository.folder.rename(
        repository.folder.with_name(f".deleted-{core.upload_key}-{repository.folder.name}")
    )
    return Answer.json("OK")


@call("PUT", REPO + "/settings")
def settings(core: Core, request: Request, repo_type: str, name: str) -> Answer:
    repository, body = core.writable(repo_type, name, request), request.json()
    if "visibility" in body or "private" in body:
        repository.private = body.get("visibility") == "private" or bool(body.get("private"))
    repository.gated = bool(body.get("gated", repository.gated))
    repository.save()
    return Answer.json({"private": repository.private, "gated": repository.gated})
