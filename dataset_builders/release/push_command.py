"""``python -m dataset_builders push``."""

from pathlib import Path
from typing import Annotated

import tyro

from dataset_builders.extras import require


def push(
    folder: Annotated[Path, tyro.conf.Positional],
    name: Annotated[str, tyro.conf.Positional],
    private: bool = False,
    create_pr: bool = False,
    revision: str = "main",
    tag: str | None = None,
) -> None:
    """Push a built data set to the Hub.

    The token is the one of `hf auth login` or of the environment variable HF_TOKEN.

    Args:
        folder: A folder that build filled.
        name: ORG/NAME of the data set on the Hub; made if it does not exist.
        private: Make the repository private, if it is new.
        create_pr: Open a pull request instead of committing.
        revision: Branch; made from main if it does not exist.
        tag: Name for the release, as in v1.0; a tag is never moved.
    """
    require("publish")
    from huggingface_hub import HfApi

    from dataset_builders.release import push as release

    target = release.Target(name, private, create_pr, revision, tag)
    release.push(folder, target, HfApi(), print)
