"""Checksums of the released documents that this version can make without other texts: ``checksums.json``."""

import json
from functools import cache
from importlib.resources import files


@cache
def known_checksums() -> dict[str, str]:
    """``content_sha256`` of the rows of each config whose documents arguments alone make, by name."""
    text = (files("dataset_builders.release") / "checksums.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
