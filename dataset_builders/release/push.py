"""Release a built folder to the Hugging Face Hub: all files in one commit, then the tag.

Everything is checked before anything is uploaded, and the repository changes in a single commit. If a push
is interrupted, the previous release stays unchanged, and running the same push again completes it.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_session, get_token
from huggingface_hub.errors import RepositoryNotFoundError
from huggingface_hub.hf_api import GitRefs

from dataset_builders.errors import InputError
from dataset_builders.hub import check_repo_id, hub_errors
from dataset_builders.release import eval_yaml
from dataset_builders.release.folder import CARD, Release, data_file, read_release
from dataset_builders.release.hub_state import RepositoryState, read_state
from dataset_builders.release.manifest import FILE

PATIENCE = 120.0
"""Seconds without data after which a request times out; huggingface_hub itself would wait forever."""

_MAIN = "main"
_NAME = re.compile(r"(?!.*\.\.)(?!.*\.lock$)[A-Za-z0-9][A-Za-z0-9._-]*(?<!\.)")
_BRANCH = re.compile(rf"{_NAME.pattern}(/{_NAME.pattern})*")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Target:
    """The destination of a release.

    Attributes:
        name: ``ORG/NAME`` on the Hub; created if it does not exist.
        private: whether to create the repository as private; an existing public repository is an error.
        create_pr: whether to open a pull request instead of committing.
        revision: branch, created from ``main`` if it does not exist, or ``refs/pr/N``.
        tag: tag for the release; existing tags are never moved.
        eval_yaml: whether to push ``eval.yaml``; if the Hub does not know the framework named in the file, it
            rejects the whole commit.

    Raises:
        InputError: a value is malformed, or two cannot be combined.
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
            raise InputError("a pull request cannot be tagged before it is merged; omit --tag or --create-pr")
        if self.tag is not None and not _NAME.fullmatch(self.tag):
            raise InputError(f"{self.tag!r} is not a valid tag; use letters, digits and . _ -, as in v1.0")
        branch = self.revision.removeprefix("refs/pr/")
        if not _BRANCH.fullmatch(branch) or _COMMIT.fullmatch(branch):
            raise InputError(f"{self.revision!r} is not a branch; pass the name of a branch")


def push(folder: Path, target: Target, api: HfApi, say: Callable[[str], None]) -> None:
    """Release a folder that ``build`` filled.

    Args:
        folder: folder of the data set.
        target: destination of the release.
        api: client of the Hub.
        say: function that is called with one line per completed action.

    Raises:
        InputError: the folder does not match its manifest, the Hub refuses or cannot be reached, the tag
            marks another release, a file from elsewhere would be overwritten, or the repository changed in
            the meantime.
    """
    release = _release(folder, target)
    if not (get_token() if api.token is None else api.token):
        raise InputError("there is no token to push with; set HF_TOKEN or run `hf auth login`")
    with _patience():
        _push(release, target, api, say)


def show(folder: Path, target: Target, say: Callable[[str], None]) -> None:
    """List the files that ``push`` would send to a new repository, without a request to the Hub.

    Args:
        folder: folder of the data set.
        target: destination of the release.
        say: function that is called with one line per file.

    Raises:
        InputError: the folder does not match its manifest.
    """
    files = _release(folder, target).files(target.name, None, ())
    where = "a pull request" if target.create_pr else f"the branch {target.revision}"
    tag = "" if target.tag is None else f", tagged {target.tag}"
    say(f"would push {len(files)} files to {where} of the data set {target.name}{tag}:")
    for path, content in sorted(files.items()):
        say(f"{len(content):>12,} bytes  sha256 {hashlib.sha256(content).hexdigest()[:12]}  {path}")


def _release(folder: Path, target: Target) -> Release:
    release = read_release(folder)
    if target.eval_yaml:
        return release
    content = {path: data for path, data in release.content.items() if path != eval_yaml.FILE}
    return replace(release, content=content)


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
    with hub_errors(f"read the state of the data set {target.name!r}"):
        refs = _refs(api, target)
        if refs is None:
            _create(api, target)
            say(f"created the repository {url}{' (private)' if target.private else ''}")
            refs = api.list_repo_refs(target.name, repo_type="dataset")
        state = _state(api, target, refs)
        tagged = _tagged(api, target, refs, state)
    if tagged is not None:
        _check_tag(release, target, tagged)
        say(f"nothing to do: the tag {target.tag} of {url} already has these files (commit {tagged.commit})")
        return
    commit = _commit(release, target, state, refs, api, say)
    if target.tag is not None:
        with hub_errors(
            f"tag the commit {commit[:12]} of {target.name!r} as {target.tag} (all files are uploaded; "
            "run the same push again to tag them)"
        ):
            api.create_tag(target.name, tag=target.tag, revision=commit, repo_type="dataset")
        say(f"tagged {target.tag}: {url}/tree/{target.tag}")


def _refs(api: HfApi, target: Target) -> GitRefs | None:
    try:
        return api.list_repo_refs(target.name, repo_type="dataset")
    except RepositoryNotFoundError as error:
        if error.response.status_code == 401:
            raise  # without a valid token, the Hub reports private repositories as missing
        if target.create_pr:
            raise InputError(
                f"there is no data set {target.name!r} to open a pull request on; omit --create-pr"
            ) from None
        return None


def _create(api: HfApi, target: Target) -> None:
    with hub_errors(f"create the data set {target.name!r}"):
        api.create_repo(target.name, repo_type="dataset", private=target.private or None)


def _state(api: HfApi, target: Target, refs: GitRefs) -> RepositoryState:
    """The state to start from: the head of the branch, or of ``main`` if the branch does not exist yet."""
    if target.revision in {tag.name for tag in refs.tags}:
        raise InputError(f"{target.revision!r} is a tag of {target.name}; pass the name of a branch")
    there = _is_there(target, refs)
    if target.create_pr and not there:
        raise InputError(
            f"{target.name} has no branch {target.revision!r} to open a pull request on; omit "
            "--revision to use main"
        )
    state = read_state(api, target.name, target.revision if there else _MAIN)
    if target.private and not state.private:
        raise InputError(f"{target.name} is public; omit --private, or make it private in its settings")
    return state


def _is_there(target: Target, refs: GitRefs) -> bool:
    return target.revision.startswith("refs/pr/") or target.revision in {b.name for b in refs.branches}


def _tagged(api: HfApi, target: Target, refs: GitRefs, state: RepositoryState) -> RepositoryState | None:
    """The state at the tag; None if it does not exist yet."""
    found = [tag.target_commit for tag in refs.tags if tag.name == target.tag]
    if not found:
        return None
    return state if found[0] == state.commit else read_state(api, target.name, found[0])


def _check_tag(release: Release, target: Target, tagged: RepositoryState) -> None:
    files = release.files(target.name, tagged.card, tagged.configs or ())
    other = [path for path, content in files.items() if not tagged.holds(path, content)]
    if other:
        raise InputError(
            f"the tag {target.tag} of {target.name} already marks another release ({_some(other)}); tags "
            "are never moved, so pass another tag"
        )


def _commit(
    release: Release,
    target: Target,
    state: RepositoryState,
    refs: GitRefs,
    api: HfApi,
    say: Callable[[str], None],
) -> str:
    """Commit all changes, if there are any, and return the commit that contains the release."""
    url = f"{api.endpoint}/datasets/{target.name}"
    files = release.files(target.name, state.card, state.configs or ())
    changed = {path: content for path, content in files.items() if not state.holds(path, content)}
    _check_ours(changed, state)
    gone = [path for path in map(data_file, state.configs or ()) if path in state.files and path not in files]
    if not _is_there(target, refs):
        with hub_errors(f"create the branch {target.revision!r} of {target.name!r}"):
            api.create_branch(target.name, branch=target.revision, revision=state.commit, repo_type="dataset")
        say(f"created the branch {target.revision} from main")
    if not changed and not gone:
        say(f"nothing to commit: {url} already has these files (commit {state.commit})")
        return state.commit
    title = f"Release {target.tag or f'of {len(release.manifest.configs)} configs'}"
    if target.create_pr:
        with hub_errors(f"list the pull requests of {target.name!r}"):
            opened = _opened(release, target, title, api)
        if opened is not None:
            say(f"nothing to do: the pull request {url}/discussions/{opened} contains these files")
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
    """The number of an open pull request that already contains the release."""
    for pull in api.get_repo_discussions(
        target.name, repo_type="dataset", discussion_type="pull_request", discussion_status="open"
    ):
        if pull.title == title:
            state = read_state(api, target.name, f"refs/pr/{pull.num}")
            files = release.files(target.name, state.card, state.configs or ())
            if all(state.holds(path, content) for path, content in files.items()):
                return pull.num
    return None


def _check_ours(changed: dict[str, bytes], state: RepositoryState) -> None:
    """Raise InputError if the push would overwrite a file that is not from an earlier release."""
    ours = {CARD}
    if state.configs is not None:
        ours |= {FILE, eval_yaml.FILE, *map(data_file, state.configs)}
    others = [path for path in changed if path in state.files and path not in ours]
    if others:
        raise InputError(
            f"{state.name} contains files that this release would overwrite and that are not from an earlier "
            f"release ({_some(others)}); use another name, or delete them there"
        )


def _some(paths: list[str]) -> str:
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more}"
