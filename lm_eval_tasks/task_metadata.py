"""What the user asked of a task's documents, out of the dictionary into which lm-eval mixes everything."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval.tasks._yaml_loader import load_yaml

from dataset_builders import InputError
from lm_eval_tasks import lm_eval_run as harness

_OWN_FIELDS = ("version", "benchmark", "length_of", "unit", "new_tokens")
"""What a task's file says of itself under ``metadata``."""

_SOURCE = "config_source"
"""The key under which lm-eval writes the path of the task's file."""


def asked_of_the_documents(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What the user wrote in ``--metadata`` or ``metadata=``, without the model's arguments.

    Args:
        metadata: the task's metadata as lm-eval merges it: the file's, the model's arguments, the user's.

    Raises:
        InputError: a field of the task's own was to be replaced.
    """
    _check_own_fields(metadata)
    asked = harness.run_metadata()
    if asked is None:  # loaded by a task manager, whose metadata holds no model's arguments
        asked = {key: value for key, value in metadata.items() if key not in (*_OWN_FIELDS, _SOURCE)}
    for key in _OWN_FIELDS:
        if key in asked:
            raise InputError(f"the metadata key {key!r} is the task's own and cannot be given")
    return dict(asked)


def _check_own_fields(metadata: Mapping[str, Any]) -> None:
    """Refuse merged metadata in which a field differs from the task's file."""
    file = Path(str(metadata.get(_SOURCE, "")))
    if not file.is_file():
        return
    own = load_yaml(file, resolve_func=False).get("metadata", {})
    for key in _OWN_FIELDS:
        if key in metadata and (key not in own or metadata[key] != own[key]):
            raise InputError(
                f"{key!r} is the task's own field and cannot be set to {metadata[key]!r}, by metadata or "
                "by an argument of the model, which lm-eval mixes into the metadata"
            )
