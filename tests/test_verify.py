"""Verifying a built folder: what is the same, what is found out, and what is said of it."""

# ruff: noqa: F811 - pytest finds the fixture by its name

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

from dataset_builders import InputError
from dataset_builders.__main__ import main
from dataset_builders.benchmark import Config
from dataset_builders.registry import find
from dataset_builders.release.build import build
from dataset_builders.release.manifest import FILE, LengthSummary, parquet_path, read_manifest
from dataset_builders.release.push import Target, push
from dataset_builders.release.verify import SAME, verify
from tests.hub.fixture import GOOD, hub  # noqa: F401
from tests.hub.server import LoopbackHub
from tests.material import neox_tokenizer
from tests.squad_sample import squad_sample

CONFIGS = [
    *find("phone_book").configs([3], num_docs=4),
    *find("c4_copy").configs([5], ["random"], num_docs=4),
    *find("squad_v2_retrieval").configs(["50_100"]),
    *find("string_suffix_ngram").configs([12], num_docs=4),
]
PHONE_BOOK = parquet_path(Path(), "phone_book_3")


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with a small config of each task, and what it was made from."""
    folder = tmp_path_factory.mktemp("verify")
    (folder / "texts.txt").write_text(
        " ".join(f"The {n} ships of Orsby sailed in {1500 + n}." for n in range(99))
    )
    (folder / "squad.json").write_text(json.dumps(squad_sample()))
    sources = {
        "source": str(folder / "texts.txt"),
        "squad_source": str(folder / "squad.json"),
        "tokenizer": str(neox_tokenizer()),
    }
    build(CONFIGS, folder / "data", sources)
    return folder / "data", sources


@pytest.fixture
def copied(original: tuple[Path, dict[str, str]], tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """The same, to be damaged."""
    shutil.copytree(original[0], tmp_path / "data")
    return tmp_path / "data", original[1]


def states(folder: Path, sources: dict[str, str]) -> dict[str, str]:
    return {outcome.config: outcome.state for outcome in verify(folder, sources)}


def wrong(folder: Path, sources: dict[str, str]) -> dict[str, str]:
    return {config: state for config, state in states(folder, sources).items() if state != SAME}


def edit_manifest(folder: Path, edit: Callable[[Any], object]) -> None:
    content = json.loads((folder / FILE).read_bytes())
    edit(content)
    (folder / FILE).write_text(json.dumps(content))


def test_what_was_built_is_the_same(original: tuple[Path, dict[str, str]]) -> None:
    assert states(*original) == {config.name: SAME for config in CONFIGS}


def test_the_command_prints_a_line_a_config(
    copied: tuple[Path, dict[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, sources = copied
    command = [
        "verify",
        str(folder),
        "--source",
        str(sources["source"]),
        "--tokenizer",
        str(sources["tokenizer"]),
    ]
    main([*command, "--squad-source", str(sources["squad_source"])])
    entries = read_manifest(folder).configs
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        [name, str(entry.rows), "rows", entry.content_sha256[:12], "same"] for name, entry in entries.items()
    ]
    (folder / PHONE_BOOK).unlink()
    shutil.copy(folder / "c4_copy_random_5" / PHONE_BOOK.name, folder / "string_suffix_ngram_12")
    with pytest.raises(
        SystemExit,
        match=r"^error: these configs differ or could not be compared: phone_book_3, string_suffix_ngram_12$",
    ):
        main([*command, "--squad-source", str(sources["squad_source"])])
    out = capsys.readouterr().out
    assert "is missing" in out and "does not have the columns than id, prompt, answer, length" in out


# ---- files


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


def test_a_file_and_a_manifest_that_agree_on_other_rows_are_found(
    copied: tuple[Path, dict[str, str]],
) -> None:
    folder, sources = copied
    build(find("phone_book").configs([3], num_docs=4, seed=1), folder.parent / "other", sources)
    shutil.copy(folder.parent / "other" / PHONE_BOOK, folder / PHONE_BOOK)
    manifest = read_manifest(folder)
    other = read_manifest(folder.parent / "other").configs["phone_book_3"]
    manifest.with_entry(replace(other, arguments=manifest.configs["phone_book_3"].arguments)).write(folder)
    assert wrong(folder, sources) == {"phone_book_3": "the rebuilt documents differ"}
    edit_manifest(folder, lambda content: content["configs"]["phone_book_3"].update(documents_version="0.9"))
    assert "of version 0.9, and the installed builder makes 1.0" in wrong(folder, sources)["phone_book_3"]


@pytest.mark.parametrize(
    "change",
    [{"rows": 5}, {"prompt_characters": LengthSummary(1, 2, 3)}, {"prompt_tokens": LengthSummary(1, 2, 3)}],
    ids=str,
)
def test_wrong_sizes_are_found(copied: tuple[Path, dict[str, str]], change: dict[str, Any]) -> None:
    folder, sources = copied
    manifest = read_manifest(folder)
    entry = manifest.configs["phone_book_3"]
    manifest.with_entry(replace(entry, **change)).write(folder)
    assert list(wrong(folder, sources)) == ["phone_book_3"]


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


# ---- manifests


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "manifest.json cannot be read: Expecting value"),
        (b'{"format": 1, "buil', "manifest.json cannot be read: Unterminated string"),
        (b"\xff\xfe\x00", "manifest.json cannot be read: "),
        (b"[" * 100_000, "manifest.json cannot be read: "),
        (b"[]", "manifest.json is no manifest of repeat-after-me"),
        (b'{"builder": "another"}', "manifest.json is no manifest of repeat-after-me"),
        (b'{"builder": "repeat-after-me", "format": 2}', "has the format 2, and this version .* reads 1"),
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


# ---- sources


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        (
            "source",
            "was built from the local source 'texts.txt'; pass it, as in --source texts.txt",
        ),
        (
            "squad_source",
            "from the local source 'squad.json'; pass it, as in --squad-source squad.json",
        ),
        (
            "tokenizer",
            "from the local source '20B_tokenizer.json'; pass it, as in --tokenizer 20B_tokenizer.json",
        ),
    ],
)
def test_a_local_source_must_be_given_again(
    original: tuple[Path, dict[str, str]], lost: str, named: str
) -> None:
    folder, sources = original
    with pytest.raises(InputError, match=named):
        verify(folder, {**sources, lost: None})


def test_another_source_or_tokenizer_is_refused(
    original: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, sources = original
    assert sources["tokenizer"]
    texts = tmp_path / "other.txt"
    texts.write_text("The cat sat on the mat. " * 50)
    with pytest.raises(
        InputError, match=r"from 'texts.txt' with the checksum \w{12}, and that of 'other.txt' is"
    ):
        verify(folder, {**sources, "source": str(texts)})
    squad = tmp_path / "other.json"
    squad.write_text(json.dumps(squad_sample(seed=1)))
    with pytest.raises(InputError, match="of 'other.json' is .*; pass the same --squad-source"):
        verify(folder, {**sources, "squad_source": str(squad)})
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(Path(sources["tokenizer"]).read_text() + "\n")
    with pytest.raises(InputError, match="pass the same --tokenizer"):
        verify(folder, {**sources, "tokenizer": str(tokenizer)})


def test_the_same_questions_in_another_file_format_are_the_same(
    original: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, sources = original
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps(row) + "\n" for row in squad_sample()))
    assert wrong(folder, {**sources, "squad_source": str(lines)}) == {}


def test_what_no_source_is_needed_for_is_verified_without(tmp_path: Path) -> None:
    sources = {"tokenizer": str(neox_tokenizer())}
    build([*CONFIGS[:1], *CONFIGS[3:]], tmp_path, sources)
    assert wrong(tmp_path, {}) == {}


# ---- the Hub


def test_a_data_set_on_the_hub_is_verified(
    hub: LoopbackHub,
    original: tuple[Path, dict[str, str]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    strings = [find(name).config(12, num_docs=4) for name in ("string_copy", "string_prefix_ngram")]
    build(strings[:1], tmp_path / "data", {})
    push(tmp_path / "data", Target("org/strings", tag="v1"), hub.api(GOOD), print)
    build(strings[1:], tmp_path / "data", {})
    push(tmp_path / "data", Target("org/strings"), hub.api(GOOD), print)
    for revision, configs in (
        ("v1", ["string_copy_12"]),
        ("main", ["string_copy_12", "string_prefix_ngram_12"]),
    ):
        capsys.readouterr()
        main(["verify", "org/strings", "--revision", revision])
        lines = capsys.readouterr().out.splitlines()
        assert [(line.split()[0], line.split()[-1]) for line in lines] == [(name, SAME) for name in configs]
    with pytest.raises(SystemExit, match="^error: cannot read the data set 'org/string': "):
        main(["verify", "org/string"])


@pytest.mark.parametrize("name", ["nowhere", "a/b/c", "../x/y", "org/na me"])
def test_neither_a_folder_nor_a_name_on_the_hub_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=f"there is no folder '{name}'; pass a folder, or ORG/NAME on the Hub"
    ):
        main(["verify", name])
    with pytest.raises(SystemExit, match="is a local folder, which has no revisions"):
        main(["verify", str(tmp_path), "--revision", "v1"])
