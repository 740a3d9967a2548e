"""Building configs into a folder: what is kept from earlier builds, and what is refused."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset
from filelock import FileLock

from dataset_builders import InputError
from dataset_builders.benchmark import Config
from dataset_builders.registry import find
from dataset_builders.release.build import LOCK, Result, build, results_table
from dataset_builders.release.manifest import parquet_path, read_manifest
from dataset_builders.release.verify import verify
from dataset_builders.sources.texts import read_texts
from lm_eval_tasks.released import read_config
from tests.conftest import Run
from tests.small_release import built, files, one_of_each, sources


def states(results: Sequence[Result]) -> dict[str, str]:
    return {result.entry.config.name: result.state for result in results}


def test_what_people_write_into_a_folders_card_is_kept(tmp_path: Path) -> None:
    build(find("phone_book").configs([20], num_docs=2), tmp_path, {})
    card = tmp_path / "README.md"
    card.write_text(card.read_text() + "\nA remark of mine.\n")
    build(find("phone_book").configs([40], num_docs=2), tmp_path, {})
    text = card.read_text()
    assert text.count("A remark of mine.") == 1
    assert text.count("config_name: phone_book_20") == text.count("config_name: phone_book_40") == 2


def test_without_a_tokenizer_nothing_is_counted_until_one_is_given(
    tmp_path: Path, sources: dict[str, str]
) -> None:
    configs = find("phone_book").configs([20], num_docs=5)
    results = build(configs, tmp_path, {})
    assert results[0].entry.prompt_tokens is None
    assert "tokens" not in results_table(results)
    before = files(tmp_path)
    (counted,) = build(configs, tmp_path, sources)
    assert counted.state == "kept, tokens counted"
    assert "median tokens    most tokens" in results_table([counted])
    assert counted.entry.prompt_tokens and counted.entry.prompt_tokens.min > 200
    assert read_manifest(tmp_path).configs["phone_book_20"] == counted.entry
    changed = {name for name, content in files(tmp_path).items() if before[name] != content}
    assert changed == {"manifest.json", "README.md"}
    assert build(configs, tmp_path, {})[0] == Result(counted.entry, "kept")


def test_building_again_adds_and_keeps(tmp_path: Path, sources: dict[str, str]) -> None:
    build(find("phone_book").configs([20, 40], num_docs=5), tmp_path, {})
    before = files(tmp_path)
    results = build(find("phone_book").configs([40, 60, 60], num_docs=5), tmp_path, {})
    assert states(results) == {"phone_book_40": "kept", "phone_book_60": "built"}
    assert list(read_manifest(tmp_path).configs) == ["phone_book_20", "phone_book_40", "phone_book_60"]
    after = files(tmp_path)
    lists = {"manifest.json", "README.md", "eval.yaml"}
    assert all(after[name] == content for name, content in before.items() if name not in lists)


def test_a_second_build_gives_the_same_bytes(built: Path, tmp_path: Path, sources: dict[str, str]) -> None:
    build(one_of_each(), tmp_path, sources)
    assert files(tmp_path) == files(built)


@pytest.mark.parametrize(
    ("configs", "named"),
    [
        (
            find("phone_book").configs([20], num_docs=6),
            "'phone_book_20' with another num_docs: 5, not 6",
        ),
        (find("phone_book").configs([60, 20], num_docs=5, seed=1), "another seed: 0, not 1"),
        (
            find("string_copy").configs([20], num_docs=5, spelling="plain"),
            "another spelling: spaced, not plain",
        ),
    ],
)
def test_other_arguments_are_refused_and_nothing_is_written(
    built: Path, sources: dict[str, str], configs: list[Config], named: str
) -> None:
    before = files(built)
    with pytest.raises(InputError, match=named):
        build(configs, built, sources)
    assert files(built) == before


def test_the_order_of_builds_does_not_matter(tmp_path: Path) -> None:
    phone_books = find("phone_book").configs([3, 20, 100], num_docs=1)
    strings = find("string_copy").configs([10, 20], num_docs=1)
    build([*phone_books, *strings], tmp_path / "at once", {})
    for config in [strings[1], phone_books[2], strings[0], phone_books[0], phone_books[1]]:
        build([config], tmp_path / "one by one", {})
    assert files(tmp_path / "one by one") == files(tmp_path / "at once")


@pytest.mark.parametrize(("content", "named"), [(None, "is missing"), (b"PAR1", "is damaged")])
def test_a_bad_file_of_another_config_is_reported_before_anything_is_built(
    tmp_path: Path, content: bytes | None, named: str
) -> None:
    build(find("phone_book").configs([20], num_docs=1), tmp_path, {})
    path = parquet_path(tmp_path, "phone_book_20")
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    before = files(tmp_path)
    with pytest.raises(InputError, match=rf"phone_book_20/test-00000-of-00001.parquet {named}"):
        build(find("phone_book").configs([40], num_docs=1), tmp_path, {})
    assert files(tmp_path) == before


@pytest.mark.parametrize("name", ["data [1] *", "s3:", "file:data", "~", "Käse 書"])
def test_a_folders_name_is_never_a_pattern_or_an_address(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(name)
    configs = find("phone_book").configs([20], num_docs=1)
    (result,) = build(configs, folder / "data", {})
    assert [outcome.state for outcome in verify(folder / "data", {})] == ["same"]
    dataset = str(folder.absolute() / "data")
    assert (
        len(read_config(find("phone_book"), dataset, "phone_book_20", None, result.entry.content_sha256)) == 1
    )


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_sources_name_is_never_a_pattern(tmp_path: Path, suffix: str) -> None:
    folder = tmp_path / "texts [1] *"
    folder.mkdir()
    table = Dataset.from_dict({"text": ["A text."]})
    if suffix == "parquet":
        table.to_parquet(folder / "texts.parquet")
    else:
        (folder / "texts.jsonl").write_text('{"text": "A text."}\n')
    assert read_texts(str(folder / f"texts.{suffix}")).documents == ("A text.",)


def test_another_source_or_tokenizer_is_refused(built: Path, tmp_path: Path, sources: dict[str, str]) -> None:
    same, other = tmp_path / "same.jsonl", tmp_path / "other.jsonl"
    same.write_text(Path(sources["source"]).read_text())
    other.write_text(Path(sources["source"]).read_text().replace("Orsby", "Morvan"))
    configs = one_of_each()[1:2]
    assert build(configs, built, {**sources, "source": str(same)})[0].state == "kept"
    with pytest.raises(InputError, match=r"another source: texts.jsonl \(\w{12}\), not other.jsonl"):
        build(configs, built, {**sources, "source": str(other)})
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(Path(sources["tokenizer"]).read_text() + "\n")
    with pytest.raises(InputError, match="another tokenizer: 20B_tokenizer.json"):
        build(one_of_each()[:1], built, {"tokenizer": str(tokenizer)})


def test_a_folder_with_something_else_and_a_file_are_refused(tmp_path: Path) -> None:
    configs = find("phone_book").configs([20], num_docs=5)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and has no manifest.json"):
        build(configs, tmp_path, {})
    with pytest.raises(InputError, match=r"notes.txt is a file; pass a folder"):
        build(configs, tmp_path / "notes.txt", {})
    assert files(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize("manifest", [None, '{"manifest_version": 3}', '{"name": "not JSON'])
def test_nothing_is_deleted_or_written_in_a_folder_of_others(tmp_path: Path, manifest: str | None) -> None:
    mine = {".video.mp4.partial": b"a download", "notes/.draft.partial": b"a draft"}
    if manifest is not None:
        mine["manifest.json"] = manifest.encode()
    for name, content in mine.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=r"is not empty and has no|is not a manifest|is not JSON"):
        build(find("phone_book").configs([20], num_docs=5), tmp_path, {})
    found = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert found == set(mine)
    assert all((tmp_path / name).read_bytes() == content for name, content in mine.items())


def test_hidden_files_of_others_in_a_built_folder_are_kept(tmp_path: Path) -> None:
    configs = find("phone_book").configs([20], num_docs=5)
    build(configs, tmp_path, {})
    mine = [tmp_path / ".notes.partial", tmp_path / "phone_book_20" / ".notes.partial"]
    for file in mine:
        file.write_text("mine")
    assert build(configs, tmp_path, {})[0].state == "kept"
    assert [file.read_text() for file in mine] == ["mine", "mine"]


def test_two_builds_in_one_folder_are_refused(tmp_path: Path) -> None:
    with FileLock(tmp_path / LOCK), pytest.raises(InputError, match="another build is running"):
        build(find("phone_book").configs([20], num_docs=5), tmp_path, {})
    assert build(find("phone_book").configs([20], num_docs=5), tmp_path, {})[0].state == "built"


@pytest.mark.parametrize(
    ("configs", "named"),
    [
        (
            find("phone_book").configs([20, 2], num_docs=5),
            "phone_book_2: entries must be an integer of at least 3, not 2",
        ),
        (
            find("squad_v2_retrieval").configs(["50_100", "9000_9001"]),
            "squad_v2_retrieval_9000_9001: no paragraph",
        ),
        (
            find("c4_copy").configs([10**6], ["standard"]),
            "c4_copy_1000000: .* too few for windows",
        ),
    ],
)
def test_a_config_that_cannot_be_built_stops_all_before_the_first(
    tmp_path: Path, sources: dict[str, str], configs: list[Config], named: str
) -> None:
    with pytest.raises(InputError, match=named):
        build(configs, tmp_path / "new", sources)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("slip", "named"),
    [
        (
            lambda: find("squad_v2_retrieval").configs(["50-100"]),
            "written as 50_100 or 400_plus, not '50-100'",
        ),
        (lambda: find("string_cpy"), "no benchmark 'string_cpy'; .*; did you mean 'string_copy'"),
        (lambda: Config(find("c4_copy"), {"tokens": 5}), "needs the arguments order, num_docs, seed"),
        (
            lambda: Config(find("c4_copy"), {"token": 5}),
            "no argument 'token'; .*; did you mean 'tokens'",
        ),
        (lambda: find("c4_copy").configs([5], ["reversed"]), "order must be one of .*, not 'reversed'"),
    ],
)
def test_a_slip_in_a_name_is_one_sentence(slip: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        slip()


def test_a_checksum_of_digits_is_not_shown_as_a_number(tmp_path: Path) -> None:
    (result,) = build(find("phone_book").configs([20], num_docs=1), tmp_path, {})
    for sha256 in ("0123456789012345", "1234567890e12345"):
        entry = replace(result.entry, content_sha256=sha256)
        assert f" {sha256[:12]} " in results_table([Result(entry, "kept")])


def test_the_command_builds_and_help_imports_nothing_heavy(run: Run, tmp_path: Path) -> None:
    arguments = ["-m", "dataset_builders", "build", "phone_book", "--entries", "20", "--num-docs", "500"]
    done = run(*arguments, "--seed", "0", "--out", "data")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no progress bar, since this is not a terminal
    assert "phone_book_20" in done.stdout and "98eb98b62e20" in done.stdout
    told = run("-X", "importtime", "-m", "dataset_builders", "build", "all", "--help")
    assert "--squad-source" in told.stdout
    imported = {line.split("|")[-1].strip().split(".")[0] for line in told.stderr.splitlines()}
    assert "tyro" in imported
    assert not imported & {"datasets", "pyarrow", "huggingface_hub", "torch", "lm_eval", "transformers"}


def test_the_command_takes_a_part_of_the_release(
    tmp_path: Path, sources: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    from dataset_builders.__main__ import main

    out, squad = str(tmp_path / "data"), str(sources["squad_source"])
    common = ["build", "all", "--squad-source", squad, "--tokenizer", str(sources["tokenizer"]), "--out", out]
    main([*common, "--configs", "squad_v2_retrieval_400_plus", "string_copy_10"])
    assert list(read_manifest(Path(out)).configs) == ["squad_v2_retrieval_400_plus", "string_copy_10"]
    assert "string_copy_10" in capsys.readouterr().out
    with pytest.raises(
        SystemExit, match="error: the release has no config 'string_copy_11'; did you mean 'string_copy_1"
    ):
        main([*common, "--configs", "string_copy_11"])
