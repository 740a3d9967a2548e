"""Untrusted YAML gives JSON values, or one sentence."""

import datetime
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.files import MAX_YAML_BYTES, read_yaml
from dataset_builders.yaml_text import parse_yaml
from tests.mutations import hostile_yaml

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_what_pyyaml_writes_is_read_as_pyyaml_reads_it(value: object) -> None:
    text = yaml.safe_dump(value, allow_unicode=True)
    assert parse_yaml(text, "it") == yaml.safe_load(text)


@settings(max_examples=50, deadline=None)
@given(JSON)
def test_values_are_read_as_they_were_written(value: object) -> None:
    """In ASCII: as unicode, PyYAML writes the control character U+0085 as it is, and reads a space."""
    assert parse_yaml(yaml.safe_dump(value), "it") == value


def test_dates_stay_texts() -> None:
    assert parse_yaml("a: 2026-01-02", "it") == {"a": "2026-01-02"}
    assert parse_yaml(yaml.safe_dump({"a": datetime.date(2026, 1, 2)}), "it") == {"a": "2026-01-02"}
    assert parse_yaml("2026-13-45", "it") == "2026-13-45"


@pytest.mark.parametrize(
    "text",
    [
        "a: !!int x",
        "a: !!float ''",
        "a: !!bool x",
        "a: !!timestamp x",
        "a: !!int ''",
        "a: !!binary YQ==",
        "a: !!set {b, c}",
        "a: !!python/object/apply:os.system [ls]",
        "a: " + "9" * 5000,
        'a: "\\U00110000"',
        'a: "\\UFFFFFFFF"',
        "? [a]\n: 1",
        "[" * 2_000,
        "a: &a [*a]",
        "<<: 1",
        "\x00",
        "a: 1\n---\nb: 2",
    ],
)
def test_what_json_has_not_is_one_sentence(text: str) -> None:
    with pytest.raises(InputError, match=r"^settings\.yaml is not YAML \(.") as refused:
        parse_yaml(text, "settings.yaml")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("merged", [False, True])
def test_aliases_are_counted_before_they_are_followed(merged: bool) -> None:
    """A kilobyte that stands for ten thousand million values."""
    levels = ["a0: &a0 {k: v}"]
    for level in range(1, 11):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        levels.append(f"a{level}: &a{level} " + (f"{{<<: [{aliases}]}}" if merged else f"[{aliases}]"))
    with pytest.raises(InputError, match="more than 100,000 values"):
        parse_yaml("\n".join(levels), "it")
    assert parse_yaml("a: &a {b: 1}\nc: {<<: *a, d: *a}", "it")["c"] == {"b": 1, "d": {"b": 1}}


def test_a_large_file_is_not_parsed(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    with file.open("wb") as stream:
        stream.truncate(2 * 2**30)  # takes no disk
    with pytest.raises(InputError, match=r"large\.yaml is larger than 1 MiB"):
        read_yaml(file)
    file.write_bytes(b"\xff")
    with pytest.raises(InputError, match="it is not text"):
        read_yaml(file)
    assert MAX_YAML_BYTES == 2**20


@settings(max_examples=200, deadline=None)
@given(hostile_yaml())
def test_hostile_yaml_is_read_or_one_sentence(text: str) -> None:
    try:
        parse_yaml(text, "it")
    except InputError as refused:
        assert "\n" not in str(refused)
