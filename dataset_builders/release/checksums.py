"""Known checksums of the released documents that need no source, from ``checksums.json``."""

import json
from functools import cache
from importlib.resources import files


@cache
def known_checksums() -> dict[str, str]:
    """``content_sha256`` by config name, for configs whose documents depend only on arguments."""
    text = (files("dataset_builders.release") / "checksums.json").read_text(encoding="utf-8")
    return dict(json.loads(text))
