"""Damaged and hostile files for fuzz tests: mutations of valid files."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

HOSTILE: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 5, 1.5, -0.5, 2**63, 10**30, 10**400, float("nan"), float("inf"), "", "0.5",
    "../../escaped", "/escaped", "a/../../escaped", "..", "a\x00b", "\x1b[31mred\x07", "\u202e", "\ud800",
    "$\\frac{$", "a|b\n<script>`", "x" * 100_000, [], [1], ["a"], {}, {"a": 1}, [[[[]]]], {"": None},
    "2026-01-01", "step1000", "phone_book", "phone_book_40", "f" * 64,
)  # fmt: skip
"""Values that a reader may not expect where they stand."""


def places(content: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to every value in a JSON value, starting with the whole."""
    yield at
    if isinstance(content, dict):
        for key, value in content.items():
            yield from places(value, (*at, key))
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from places(value, (*at, index))


@st.composite
def mutated(draw: st.DrawFn, content: Any) -> Any:
    """The JSON value with one to three values replaced, removed, renamed or added."""
    result = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.sampled_from(list(places(result))))
        if not where:
            continue
        parent = result
        for key in where[:-1]:
            parent = parent[key]
        last = where[-1]
        action = draw(st.sampled_from(("replace", "replace", "replace", "remove", "rename", "add")))
        if action == "remove":
            del parent[last]
        elif action == "replace" or not isinstance(parent, dict):
            parent[last] = copy.deepcopy(draw(st.sampled_from(HOSTILE)))
        else:
            key = draw(st.sampled_from([value for value in HOSTILE if isinstance(value, str)]))
            parent[key] = parent.pop(last) if action == "rename" else copy.deepcopy(parent[last])
    return result


@st.composite
def damaged_bytes(draw: st.DrawFn, text: bytes) -> bytes:
    """The file with its end cut off, with bytes replaced or inserted, or a different file."""
    kind = draw(st.sampled_from(("cut", "replace", "insert", "other")))
    at = draw(st.integers(0, len(text)))
    if kind == "cut":
        return text[:at]
    if kind == "other":
        return draw(st.sampled_from((b"", b"null", b"[]", b"{}", b"\xff\xfe\x00", b"[" * 100_000, b'"')))
    new = draw(st.binary(min_size=1, max_size=8))
    return text[:at] + new + text[at + (len(new) if kind == "replace" else 0) :]


def mutated_files(content: Any) -> st.SearchStrategy[bytes]:
    """Mutations of a JSON file, of its values or of its bytes."""
    return mutated(content).map(as_json) | damaged_bytes(as_json(content))


_TAGS = (
    "int",
    "float",
    "bool",
    "null",
    "str",
    "timestamp",
    "binary",
    "set",
    "omap",
    "pairs",
    "map",
    "seq",
    "merge",
)
_SCALARS = (
    "", "x", "''", "0x", "0b2", "1_", "1:99", ".inf", ".nan", "1e3", "~", "2026-13-45",
    "2026-01-01T25:00:00Z", "=",
    "'../../escaped'", '"\\ud800"', '"\\U00110000"', '"\\x1b[31m"', "9" * 5000, "[" * 200,
    "{a: 1}", "[1, [2]]", "*a", "&a b", "<<", "no", "08",
)  # fmt: skip


@st.composite
def hostile_yaml(draw: st.DrawFn, names: tuple[str, ...] = ("a", "b")) -> str:
    """YAML as only a person or an attacker writes it: with tags, aliases, odd keys and odd numbers."""
    tags = st.sampled_from(("", "", "&a ", *(f"!!{tag} " for tag in _TAGS), "!!python/name:os.system ", "! "))
    keys = st.sampled_from((*names, *names, "1", "~", "? [a]", "<<", "'../x'", "!!int x"))
    scalars = st.sampled_from(_SCALARS)
    lines = []
    for _ in range(draw(st.integers(1, 4))):
        value = draw(tags) + draw(scalars)
        lines.append(
            f"{draw(keys)}: {value}" if draw(st.booleans()) else f"{draw(keys)}: [{value}, {draw(scalars)}]"
        )
    return "\n".join(lines)


def as_json(content: Any) -> bytes:
    """The value as JSON of Python's kind, with NaN and escaped halves of surrogate pairs."""
    return json.dumps(content).encode()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, with its content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
