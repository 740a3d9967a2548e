"""Damage to data files and manifests that ``verify`` finds, and its messages."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

from dataset_builders import InputError
from dataset_builders.benchmark import Config
from dataset_builders.registry import find
from dataset_builders.release.build import build
from dataset_builders.release.manifest import FILE, LengthSummary, read_manifest
from dataset_builders.release.verify import SAME, verify
from tests.verified_folder import CONFIGS, PHONE_BOOK, copied, edit_manifest, original, states, wrong


def test_another_compression_and_other_row_groups_are_the_same(copied: tuple[Path, dict[str, str]]) -> None:
    folder, sources = copied
    for path in folder.glob("*/*.parquet"):
        pq.write_table(pq.read_table(path), path, compression="snappy", row_group_size=3)
    assert wrong(folder, sources) == {}


def test_a_changed_row_is_found(copied: tuple[Path, dict[str, str]]) -> None:
    folder, sources = copied
    table = pq.read_table(folder / PHONE_BOOK)
    rows = table.to_pylist()
    rows[2]["answer"] = str(int(rows[2]["answer"]) ^ 1)
    pq.write_table(type(table).from_pylist(rows, schema=table.schema), folder / PHONE_BOOK)
    assert "rows do not have the checksum" in wrong(folder, sources)["phone_book_3"]
    with pytest.raises(InputError, match="does not match manifest.json: its checksum differs"):
        build(CONFIGS, folder, sources)


@pytest.mark.parametrize("arguments", [{"num_docs": 4, "seed": 1}, {"num_docs": 3}, {"num_docs": 5}])
def test_a_file_and_a_manifest_that_agree_on_other_rows_are_found(
    copied: tuple[Path, dict[str, str]], arguments: dict[str, int]
) -> None:
    folder, sources = copied
    build(find("phone_book").configs([3], **arguments), folder.parent / "other", sources)
    shutil.copy(folder.parent / "other" / PHONE_BOOK, folder / PHONE_BOOK)
    manifest = read_manifest(folder)
    other = read_manifest(folder.parent / "other").configs["phone_book_3"]
    manifest.with_entry(replace(other, arguments=manifest.configs["phone_book_3"].arguments)).write(folder)
    assert wrong(folder, sources) == {"phone_book_3": "the rebuilt documents differ"}
    edit_manifest(folder, lambda content: content["configs"]["phone_book_3"].update(documents_version="0.9"))
    assert "of version 0.9, but the installed builder makes 1.0" in wrong(folder, sources)["phone_book_3"]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"rows": 5}, "has 4 rows, not 5 as the manifest says"),
        ({"prompt_characters": LengthSummary(1, 2, 3)}, "differ in number or length from the manifest"),
        ({"prompt_tokens": LengthSummary(1, 2, 3)}, "in tokens differ from the manifest"),
        ({"columns": ("id", "answer", "prompt")}, "the columns are not id, prompt, answer"),
    ],
    ids=str,
)
def test_wrong_values_of_a_manifest_are_named(
    copied: tuple[Path, dict[str, str]], change: dict[str, Any], state: str
) -> None:
    folder, sources = copied
    manifest = read_manifest(folder)
    entry = manifest.configs["phone_book_3"]
    manifest.with_entry(replace(entry, **change)).write(folder)
    found = wrong(folder, sources)
    assert list(found) == ["phone_book_3"] and state in found["phone_book_3"]


def test_a_file_that_is_not_in_the_manifest_is_named(copied: tuple[Path, dict[str, str]]) -> None:
    folder, sources = copied
    edit_manifest(folder, lambda content: content["configs"].pop("phone_book_3"))
    assert wrong(folder, sources) == {str(PHONE_BOOK): "not listed in manifest.json"}


def test_any_cut_of_a_file_is_found(copied: tuple[Path, dict[str, str]]) -> None:
    folder, sources = copied
    whole = (folder / PHONE_BOOK).read_bytes()
    for length in [0, 3, 4, 100, *range(len(whole) - 12, len(whole))]:
        (folder / PHONE_BOOK).write_bytes(whole[:length])
        (state,) = wrong(folder, sources).values()
        assert "is damaged: " in state and "\n" not in state


def test_any_changed_byte_is_found_or_changes_no_row(copied: tuple[Path, dict[str, str]]) -> None:
    folder, sources = copied
    edit_manifest(folder, lambda content: [content["configs"].pop(c.name) for c in CONFIGS[1:]])
    whole = (folder / PHONE_BOOK).read_bytes()
    rows, found, rng = pq.read_table(folder / PHONE_BOOK).to_pylist(), 0, Random(0)
    for _ in range(150):
        at, value = rng.randrange(len(whole)), rng.randrange(1, 256)
        (folder / PHONE_BOOK).write_bytes(whole[:at] + bytes([whole[at] ^ value]) + whole[at + 1 :])
        state = states(folder, sources)["phone_book_3"]
        found += state != SAME
        assert "\n" not in state
        if state == SAME:
            assert pq.read_table(folder / PHONE_BOOK).to_pylist() == rows
    assert found > 50


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", r"manifest.json is damaged: it is not JSON \(Expecting value"),
        (b'{"format": 1, "buil', r"manifest.json is damaged: it is not JSON \(Unterminated string"),
        (b"\xff\xfe\x00", "manifest.json is damaged: it is not JSON "),
        (b"[" * 100_000, "manifest.json is damaged: it is not JSON "),
        (b"[]", "manifest.json is not a manifest of repeat-after-me"),
        (b'{"builder": "another"}', "manifest.json is not a manifest of repeat-after-me"),
        (b'{"builder": "repeat-after-me", "format": 2}', "has the format 2, but this version .* reads 1"),
        (b'{"builder": "repeat-after-me", "format": 1}', "manifest.json is damaged: .*configs"),
        (b'{"builder": "repeat-after-me", "format": 1, "version": "1", "configs": {}}', "lists no config"),
    ],
)
def test_a_damaged_manifest_is_one_sentence(tmp_path: Path, content: bytes, named: str) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(InputError, match=named) as told:
        verify(tmp_path, {})
    assert "\n" not in str(told.value)


def test_a_name_that_leads_elsewhere_is_refused(copied: tuple[Path, dict[str, str]]) -> None:
    folder, sources = copied

    def rename(content: Any) -> None:
        content["configs"]["../data/phone_book_3"] = content["configs"].pop("phone_book_3")

    edit_manifest(folder, rename)
    with pytest.raises(InputError, match="'../data/phone_book_3' has the arguments of 'phone_book_3'"):
        verify(folder, sources)


def test_a_source_that_is_lost_or_too_many_is_named(copied: tuple[Path, dict[str, str]]) -> None:
    folder, sources = copied
    origin = json.loads((folder / FILE).read_bytes())["configs"]["c4_copy_random_5"]["source"]
    for name, value, kind in (("phone_book_3", origin, "no source"), ("c4_copy_random_5", None, "a source")):
        before = (folder / FILE).read_bytes()
        edit_manifest(folder, lambda content, n=name, v=value: content["configs"][n].update(source=v))
        with pytest.raises(InputError, match=f"the config '{name}' must have {kind}, like all"):
            verify(folder, sources)
        (folder / FILE).write_bytes(before)


def test_a_variant_that_does_not_exist_is_named(copied: tuple[Path, dict[str, str]]) -> None:
    def rename(content: Any) -> None:
        entry = content["configs"].pop("c4_copy_random_5")
        content["configs"]["c4_copy_other_5"] = {
            **entry,
            "arguments": {**entry["arguments"], "order": "other"},
        }

    folder, _ = copied
    edit_manifest(folder, rename)
    (folder / "c4_copy_random_5").rename(folder / "c4_copy_other_5")
    with pytest.raises(InputError, match="'c4_copy_other_5' has a variant that c4_copy does not have"):
        build(find("phone_book").configs([4], num_docs=1), folder, {})


def leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, (*path, key))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_any_value_of_a_manifest_that_is_replaced_or_lost_is_found(
    original: tuple[Path, dict[str, str]], tmp_path: Path, config: Config
) -> None:
    folder, sources = original
    (tmp_path / config.name).symlink_to(folder / config.name)
    manifest = json.loads((folder / FILE).read_bytes())
    manifest["configs"] = {config.name: manifest["configs"][config.name]}
    whole = json.dumps(manifest)
    values: list[Any] = [..., None, True, 10**12, "../../x", {}]
    harmless = {"version", "name", "on_hub", "revision"}  # said for people, or beside a checksum
    for path in list(leaves(manifest))[1:]:
        for value in values:
            content = json.loads(whole)
            parent = content
            for key in path[:-1]:
                parent = parent[key]
            if parent[path[-1]] is value:
                continue
            if value is ...:
                del parent[path[-1]]
            else:
                parent[path[-1]] = value
            (tmp_path / FILE).write_text(json.dumps(content))
            try:
                found = bool(wrong(tmp_path, sources))
            except InputError as error:
                found = "\n" not in str(error)
            assert found or path[-1] in harmless, (path, value)
