"""The options of ``python -m dataset_builders push``, and running it."""

import argparse
from pathlib import Path

from dataset_builders.extras import require


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``run`` takes."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that build filled")
    parser.add_argument("name", metavar="ORG/NAME", help="the data set on the Hub; made if it does not exist")
    parser.add_argument("--private", action="store_true", help="make the repository private, if it is new")
    parser.add_argument("--create-pr", action="store_true", help="open a pull request in place of a commit")
    parser.add_argument(
        "--revision", default="main", help="branch; made from main if it does not exist (default: main)"
    )
    parser.add_argument("--tag", help="name for the release, as in v1.0; a tag is never moved")


def run(arguments: argparse.Namespace) -> None:
    """Push, and print what was done.

    The token is the one of ``hf auth login`` or of the environment variable ``HF_TOKEN``.

    Raises:
        InputError: see ``push.push``.
    """
    require("publish")
    from huggingface_hub import HfApi

    from dataset_builders.release.push import Target, push

    target = Target(arguments.name, arguments.private, arguments.create_pr, arguments.revision, arguments.tag)
    push(arguments.folder, target, HfApi(), print)
