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
    eval_yaml: bool = True,
    dry_run: bool = False,
) -> None:
    """Push a built data set to the Hub.

    The token is taken from `hf auth login` or the environment variable HF_TOKEN.

    Args:
        folder: Folder filled by the build command.
        name: ORG/NAME of the data set on the Hub; created if it does not exist.
        private: Create the repository as private.
        create_pr: Open a pull request instead of committing.
        revision: Branch to push to; created from main if it does not exist.
        tag: Tag for the release, such as v1.0; existing tags are never moved.
        eval_yaml: Push eval.yaml, which makes the data set a benchmark. Use --no-eval-yaml if the Hub rejects
            its evaluation framework.
        dry_run: Check the folder and list the files that would be sent; the Hub is not contacted.
    """
    require("publish")
    from huggingface_hub import HfApi

    from dataset_builders.release import push as release

    target = release.Target(name, private, create_pr, revision, tag, eval_yaml)
    if dry_run:
        release.show(folder, target, print)
    else:
        release.push(folder, target, HfApi(), print)
