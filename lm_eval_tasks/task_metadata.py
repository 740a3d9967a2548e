"""Separates the user's metadata from the values that lm-eval merges into the same dictionary."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lm_eval.tasks._yaml_loader import load_yaml

from dataset_builders import InputError
from lm_eval_tasks import lm_eval_run as harness

_OWN_FIELDS = ("version", "benchmark", "length_of", "unit", "new_tokens")
"""Fields that a task's file sets under ``metadata``."""

_SOURCE = "config_source"
"""The key under which lm-eval writes the path of the task's file."""


def read_user_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The user's ``--metadata`` or ``metadata=``, without the model's arguments.

    Args:
        metadata: the task's metadata as merged by lm-eval from the task's file, the model's arguments and the
            user's metadata.

    Raises:
        InputError: the user's metadata would replace a field of the task.
    """
    _check_own_fields(metadata)
    user_metadata = harness.run_metadata()
    if user_metadata is None:  # loaded by a task manager, whose metadata has no model arguments
        user_metadata = {key: value for key, value in metadata.items() if key not in (*_OWN_FIELDS, _SOURCE)}
    for key in _OWN_FIELDS:
        if key in user_metadata:
            raise InputError(f"the metadata key {key!r} is set by the task and cannot be changed")
    return dict(user_metadata)


def _check_own_fields(metadata: Mapping[str, Any]) -> None:
    """Check that merged metadata has the fields of the task's file."""
    file = Path(str(metadata.get(_SOURCE, "")))
    if not file.is_file():
        return
    own = load_yaml(file, resolve_func=False).get("metadata", {})
    for key in _OWN_FIELDS:
        if key in metadata and (key not in own or metadata[key] != own[key]):
            raise InputError(
                f"{key!r} is set by the task and cannot be changed to {metadata[key]!r}, by metadata or by "
                "an argument of the model, which lm-eval merges into the metadata"
            )
