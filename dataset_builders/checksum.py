"""A checksum of documents that does not depend on the file format."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def content_sha256(rows: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 (hex) over the rows in order, each as one line of JSON with sorted keys, in UTF-8."""
    digest = hashlib.sha256()
    for row in rows:
        line = json.dumps(dict(row), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()
