"""The content of a data set's repository on the Hub at one commit."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from huggingface_hub import HfApi
from huggingface_hub.hf_api import RepoSibling

from dataset_builders.errors import InputError
from dataset_builders.release.folder import CARD
from dataset_builders.release.manifest import FILE, read_manifest


@dataclass(frozen=True)
class RepositoryState:
    """A repository at one commit.

    Attributes:
        name: ``ORG/NAME`` on the Hub.
        commit: SHA of the commit.
        private: whether the repository is private.
        files: the files by path.
        card: content of its README.md; None if there is none.
        configs: names of the configs in its manifest; None if it has no manifest.
    """

    name: str
    commit: str
    private: bool
    files: dict[str, RepoSibling]
    card: str | None
    configs: tuple[str, ...] | None

    def holds(self, path: str, content: bytes) -> bool:
        """Whether the repository has a file with this content."""
        file = self.files.get(path)
        if file is None:
            return False
        if file.lfs is not None:
            return file.lfs.sha256 == hashlib.sha256(content).hexdigest()
        blob = b"blob %d\0" % len(content) + content
        return file.blob_id == hashlib.sha1(blob, usedforsecurity=False).hexdigest()


def read_state(api: HfApi, name: str, revision: str) -> RepositoryState:
    """Read the state from the Hub; the caller handles errors of the Hub.

    Raises:
        InputError: the repository has a manifest.json of another kind.
    """
    info = api.dataset_info(name, revision=revision, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings or []}
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in (CARD, FILE):
            if path in files:
                api.hf_hub_download(name, path, repo_type="dataset", revision=info.sha, local_dir=folder)
        card = (folder / CARD).read_bytes().decode("utf-8", "replace") if CARD in files else None
        configs = _configs(folder, name) if FILE in files else None
    return RepositoryState(name, str(info.sha), bool(info.private), files, card, configs)


def _configs(folder: Path, name: str) -> tuple[str, ...]:
    try:
        return tuple(read_manifest(folder).configs)
    except InputError as error:
        reason = str(error).replace(f"{folder}/", "")
        raise InputError(
            f"the repository {name} has a manifest.json of another kind: {reason}; use another name, or "
            "delete the file there"
        ) from None
