"""A small data set on the loopback Hub, for the Hub's own tests."""

from typing import Any

from huggingface_hub import CommitOperationAdd, HfApi

from tests.hub.server import LoopbackHub

NAME = "org/benchmark"
CARD = b"---\nlicense: mit\n---\n# Card\n"
PARQUET = b"PAR1" + bytes(range(256)) * 40 + b"PAR1"


def add(files: dict[str, bytes]) -> list[CommitOperationAdd]:
    return [CommitOperationAdd(path, content) for path, content in files.items()]


def commit(api: HfApi, files: dict[str, bytes], *more: Any, message: str = "change", **options: Any) -> Any:
    return api.create_commit(
        NAME, [*add(files), *more], commit_message=message, repo_type="dataset", **options
    )


def kept(hub: LoopbackHub, revision: str = "main") -> dict[str, bytes]:
    files = hub.repository(NAME).files(revision)
    return {path: content for path, content in files.items() if path != ".gitattributes"}
