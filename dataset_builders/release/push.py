"""Release a built folder to the Hugging Face Hub: all files in one commit, then the tag.

Everything is looked at before anything is uploaded, and a repository changes in one step, its commit.
Whatever stops a push, the last release stays as it was; the same push again goes on from what is there.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session, get_token
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import GitRefs

from dataset_builders.errors import InputError
from dataset_builders.release import eval_yaml
from dataset_builders.release.folder import CARD, Release, data_file, read_release
from dataset_builders.release.hub import check_repo_id, hub_errors
from dataset_builders.release.hub_state import State, read_state
from dataset_builders.release.manifest import FILE

PATIENCE = 120.0
"""Seconds of silence after which a request is given up; huggingface_hub itself would wait for ever."""

_MAIN = "main"
_NAME = re.compile(r"(?!.*\.\.)(?!.*\.lock$)[A-Za-z0-9][A-Za-z0-9._-]*(?<!\.)")
_BRANCH = re.compile(rf"{_NAME.pattern}(/{_NAME.pattern})*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Target:
    """Where a release goes.

    Attributes:
        name: ``ORG/NAME``; made if it does not exist.
        private: whether nobody else may see the repository; one that is public is refused then.
        create_pr: open a pull request, in place of a commit.
        revision: branch, made from ``main`` if it does not exist, or ``refs/pr/N``.
        tag: name for the release; none is ever moved.
        eval_yaml: whether ``eval.yaml`` is part of it; a Hub that does not know the framework that the file
            names refuses the whole commit.

    Raises:
        InputError: one of them is malformed, or they do not go together.
    """

    name: str
    private: bool = False
    create_pr: bool = False
    revision: str = _MAIN
    tag: str | None = None
    eval_yaml: bool = True

    def __post_init__(self) -> None:
        check_repo_id(self.name)
        if self.create_pr and self.tag is not None:
            raise InputError(
                "a pull request cannot be tagged before it is merged; leave out --tag or --create-pr"
            )
        if self.tag is not None and not _NAME.fullmatch(self.tag):
            raise InputError(f"{self.tag!r} cannot be a tag; take letters, digits and . _ -, as in v1.0")
        branch = self.revision.removeprefix("refs/pr/")
        if not _BRANCH.fullmatch(branch) or _COMMIT.fullmatch(branch):
            raise InputError(f"{self.revision!r} cannot be pushed to; give the name of a branch")


def push(folder: Path, target: Target, api: HfApi, say: Callable[[str], None]) -> None:
    """Release a folder that ``build`` filled.

    Args:
        folder: the data set.
        target: where it goes.
        api: client of the Hub.
        say: is told, a line each, what was done.

    Raises:
        InputError: the folder is not what its manifest says, the Hub refuses or is out of reach, the tag
            or a file that is not ours is in the way, or the repository changed meanwhile.
    """
    release = read_release(folder)
    if not target.eval_yaml:
        content = {path: data for path, data in release.content.items() if path != eval_yaml.FILE}
        release = replace(release, content=content)
    if not (get_token() if api.token is None else api.token):
        raise InputError("there is no token to push with; set HF_TOKEN or run `hf auth login`")
    with _patience():
        _push(release, target, api, say)


@contextmanager
def _patience() -> Iterator[None]:
    session = get_session()
    before = session.timeout
    session.timeout = PATIENCE
    try:
        yield
    finally:
        session.timeout = before


def _push(release: Release, target: Target, api: HfApi, say: Callable[[str], None]) -> None:
    url = f"{api.endpoint}/datasets/{target.name}"
    with hub_errors(f"look at the data set {target.name!r}"):
        refs = _refs(api, target)
        if refs is None:
            _create(api, target)
            say(f"created the repository {url}{' (private)' if target.private else ''}")
            refs = api.list_repo_refs(target.name, repo_type="dataset")
        state = _state(api, target, refs)
        tagged = _tagged(api, target, refs, state)
    if tagged is not None:
        _check_tag(release, target, tagged)
        say(f"nothing to do: the tag {target.tag} of {url} holds these files (commit {tagged.commit})")
        return
    commit = _commit(release, target, state, refs, api, say)
    if target.tag is not None:
        with hub_errors(
            f"tag the commit {commit[:12]} of {target.name!r} as {target.tag} (all files are there, and "
            "the same push again tags them)"
        ):
            api.create_tag(target.name, tag=target.tag, revision=commit, repo_type="dataset")
        say(f"tagged it {target.tag}: {url}/tree/{target.tag}")


def _refs(api: HfApi, target: Target) -> GitRefs | None:
    try:
        return api.list_repo_refs(target.name, repo_type="dataset")
    except RepositoryNotFoundError as error:
        if error.response is not None and error.response.status_code == 401:
            raise  # without a token, or with a wrong one, a repository cannot be told from a missing one
        if target.create_pr:
            raise InputError(
                f"there is no data set {target.name!r} to open a pull request on; leave out --create-pr"
            ) from None
        return None


def _create(api: HfApi, target: Target) -> None:
    with hub_errors(f"create the data set {target.name!r}"):
        api.create_repo(target.name, repo_type="dataset", private=target.private or None)


def _state(api: HfApi, target: Target, refs: GitRefs) -> State:
    """Where the release starts: the branch's head, or that of ``main`` where the branch is to be made."""
    if target.revision in {tag.name for tag in refs.tags}:
        raise InputError(f"{target.revision!r} is a tag of {target.name}; give the name of a branch")
    there = _is_there(target, refs)
    if target.create_pr and not there:
        raise InputError(
            f"{target.name} has no branch {target.revision!r} to open a pull request on; leave out "
            "--revision for main"
        )
    state = read_state(api, target.name, target.revision if there else _MAIN)
    if target.private and not state.private:
        raise InputError(
            f"{target.name} is public, and stays so: leave out --private, or make it private in its settings"
        )
    return state


def _is_there(target: Target, refs: GitRefs) -> bool:
    return target.revision.startswith("refs/pr/") or target.revision in {b.name for b in refs.branches}


def _tagged(api: HfApi, target: Target, refs: GitRefs, state: State) -> State | None:
    """What the tag holds; None where it does not exist yet."""
    found = [tag.target_commit for tag in refs.tags if tag.name == target.tag]
    if not found:
        return None
    return state if found[0] == state.commit else read_state(api, target.name, found[0])


def _check_tag(release: Release, target: Target, tagged: State) -> None:
    files = release.files(target.name, tagged.card, tagged.configs or ())
    other = [path for path, content in files.items() if not tagged.holds(path, content)]
    if other:
        raise InputError(
            f"the tag {target.tag} of {target.name} holds another release ({_some(other)}); what was "
            "released does not change: give another tag"
        )


def _commit(
    release: Release, target: Target, state: State, refs: GitRefs, api: HfApi, say: Callable[[str], None]
) -> str:
    """Make the commit, where there is something to change, and give the one that holds the release."""
    url = f"{api.endpoint}/datasets/{target.name}"
    files = release.files(target.name, state.card, state.configs or ())
    changed = {path: content for path, content in files.items() if not state.holds(path, content)}
    _check_ours(changed, state)
    gone = [path for path in map(data_file, state.configs or ()) if path in state.files and path not in files]
    if not _is_there(target, refs):
        with hub_errors(f"make the branch {target.revision!r} of {target.name!r}"):
            api.create_branch(target.name, branch=target.revision, revision=state.commit, repo_type="dataset")
        say(f"made the branch {target.revision}, from main")
    if not changed and not gone:
        say(f"nothing to commit: {url} holds these files (commit {state.commit})")
        return state.commit
    title = f"Release {target.tag or f'of {len(release.manifest.configs)} configs'}"
    if target.create_pr:
        with hub_errors(f"look at the pull requests of {target.name!r}"):
            opened = _opened(release, target, title, api)
        if opened is not None:
            say(f"nothing to do: the pull request {url}/discussions/{opened} holds these files")
            return state.commit
    operations = [CommitOperationAdd(path, content) for path, content in changed.items()]
    with hub_errors(f"push to {target.name!r}"):
        made = api.create_commit(
            target.name,
            [*operations, *(CommitOperationDelete(path, is_folder=False) for path in gone)],
            commit_message=title,
            repo_type="dataset",
            revision=target.revision,
            create_pr=target.create_pr,
            parent_commit=state.commit,
        )
    count = f"{len(changed)} files new or changed, {len(gone)} deleted"
    if target.create_pr:
        say(f"opened the pull request {made.pr_url} ({count}; commit {made.oid})")
    else:
        say(f"committed {count}: {made.commit_url}")
    return made.oid


def _opened(release: Release, target: Target, title: str, api: HfApi) -> int | None:
    """The number of an open pull request that holds the release already."""
    for pull in api.get_repo_discussions(
        target.name, repo_type="dataset", discussion_type="pull_request", discussion_status="open"
    ):
        if pull.title == title:
            state = read_state(api, target.name, f"refs/pr/{pull.num}")
            files = release.files(target.name, state.card, state.configs or ())
            if all(state.holds(path, content) for path, content in files.items()):
                return pull.num
    return None


def _check_ours(changed: dict[str, bytes], state: State) -> None:
    """Refuse to overwrite a file that no release of ours brought."""
    ours = {CARD}
    if state.configs is not None:
        ours |= {FILE, eval_yaml.FILE, *map(data_file, state.configs)}
    others = [path for path in changed if path in state.files and path not in ours]
    if others:
        raise InputError(
            f"{state.name} holds files under the names of this release that are of no earlier one "
            f"({_some(others)}); give another name, or delete them there"
        )


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more}"
