"""Building configs into a folder: what the files and the manifest hold, what is kept and what is refused."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset
from filelock import FileLock
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.benchmark import Config
from dataset_builders.checksum import content_sha256
from dataset_builders.registry import default_release, find
from dataset_builders.release.build import LOCK, Result, build
from dataset_builders.release.checksums import known_checksums
from dataset_builders.release.manifest import parquet_path, read_manifest
from dataset_builders.release.parquet_file import parquet_writer, read_rows
from dataset_builders.release.schema import features
from dataset_builders.release.verify import SAME, verify
from dataset_builders.sources.tokenizer import load_tokenizer
from lm_eval_tasks.released import read_config
from tests.conftest import Run
from tests.material import neox_tokenizer, prose
from tests.squad_sample import squad_sample


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A few small texts, the sample of SQuAD and a real tokenizer."""
    folder = tmp_path_factory.mktemp("a folder of this machine")
    text = " ".join(f"The {n} ships of Orsby sailed in {1500 + n}.\nNone came back;" for n in range(200))
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text[i:]}) + "\n" for i in range(12)))
    (folder / "squad.jsonl").write_text("".join(json.dumps(row) + "\n" for row in squad_sample()))
    return {
        "source": str(folder / "texts.jsonl"),
        "squad_source": str(folder / "squad.jsonl"),
        "tokenizer": str(neox_tokenizer()),
    }


def one_of_each(num_docs: int = 5) -> list[Config]:
    return [
        *find("phone_book").configs([20], num_docs=num_docs),
        *find("c4_copy").configs([25], ["standard", "random"], num_docs=num_docs),
        *find("squad_v2_retrieval").configs(["50_100"]),
        *find("string_copy").configs([20], num_docs=num_docs),
        *find("string_prefix_ngram").configs([20], num_docs=num_docs),
    ]


@pytest.fixture(scope="session")
def built(sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small config of each task; tests do not write there."""
    folder = tmp_path_factory.mktemp("built") / "data"
    build(one_of_each(), folder, sources)
    return folder


def states(results: Sequence[Result]) -> dict[str, str]:
    return {result.entry.config.name: result.state for result in results}


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


# ---- the default release


def test_checksums_are_known_of_what_arguments_alone_make() -> None:
    made = {name for name, config in default_release().items() if config.benchmark.source is None}
    assert known_checksums().keys() == made


@pytest.mark.parametrize("name", ["phone_book_20", "string_copy_10", "string_prefix_ngram_20"])
def test_a_config_of_the_release_has_the_checksum_that_the_tasks_keep(name: str, tmp_path: Path) -> None:
    config = default_release()[name]
    (result,) = build([config], tmp_path, {})
    known = known_checksums()[name]
    assert result.entry.content_sha256 == known
    assert len(read_config(config.benchmark, str(tmp_path), name, None, known)) == 500


@pytest.mark.slow
def test_the_whole_release_is_built_and_verified(tmp_path: Path, sources: dict[str, str]) -> None:
    sources = {**sources, "source": str(prose())}
    results = build(list(default_release().values()), tmp_path, sources)
    assert [result.entry.config.name for result in results] == list(default_release())
    for result in results:
        known = known_checksums().get(result.entry.config.name)
        assert known in (None, result.entry.content_sha256)
        assert result.entry.prompt_tokens
    assert all(outcome.state == SAME for outcome in verify(tmp_path, sources))


# ---- files


@pytest.mark.parametrize("config", one_of_each(), ids=lambda config: config.name)
def test_load_dataset_gives_the_declared_features_and_the_same_rows(built: Path, config: Config) -> None:
    table = load_dataset(str(built / config.name), split="test")
    assert table.features == features(config.benchmark)
    entry = read_manifest(built).configs[config.name]
    assert content_sha256(table) == entry.content_sha256
    assert len(table) == entry.rows
    written = pq.ParquetFile(parquet_path(built, config.name)).metadata
    assert written.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("config", one_of_each(), ids=lambda config: config.name)
def test_load_dataset_knows_the_configs_of_a_built_folder(built: Path, config: Config) -> None:
    table = load_dataset(str(built), config.name, split="test")
    assert table.features == features(config.benchmark)
    assert content_sha256(table) == read_manifest(built).configs[config.name].content_sha256


def test_what_people_write_into_a_folders_card_is_kept(tmp_path: Path) -> None:
    build(find("phone_book").configs([20], num_docs=2), tmp_path, {})
    card = tmp_path / "README.md"
    card.write_text(card.read_text() + "\nA remark of mine.\n")
    build(find("phone_book").configs([40], num_docs=2), tmp_path, {})
    text = card.read_text()
    assert text.count("A remark of mine.") == 1
    assert text.count("config_name: phone_book_20") == text.count("config_name: phone_book_40") == 2


_HOSTILE = st.text() | st.sampled_from(
    ["", "\x00", "\ufeffa", "e\u0301", "\u2028", "\U0010ffff", "\r\n\n", "ﬁ"]
)
_ROW = st.fixed_dictionaries(
    {
        "id": _HOSTILE,
        "prompt": _HOSTILE,
        "answers": st.lists(_HOSTILE, max_size=3),
        "title": _HOSTILE,
        "paragraph_tokens": st.integers(-(2**63), 2**63 - 1),
    }
)


@given(rows=st.lists(_ROW, max_size=4))
@settings(max_examples=100, deadline=None)
def test_parquet_changes_no_row(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("rows") / "test.parquet"
    with parquet_writer(path, find("squad_v2_retrieval")) as add:
        for row in rows:
            add(row)
    assert content_sha256(read_rows(path, find("squad_v2_retrieval"))) == content_sha256(rows)
    assert list(read_rows(path, find("squad_v2_retrieval"))) == rows


def test_many_rows_are_written_in_groups_and_in_their_order(tmp_path: Path) -> None:
    about = {"answer": "a", "entries": 1, "query_position": 0}
    rows = [{"id": str(n), "prompt": f"{n} " * 100_000, **about} for n in range(50)]
    path = tmp_path / "test.parquet"
    with parquet_writer(path, find("phone_book")) as add:
        for row in rows:
            add(row)
    assert pq.ParquetFile(path).num_row_groups == 2  # of at most 8,000,000 characters and one row
    assert list(read_rows(path, find("phone_book"))) == rows


# ---- manifest


def test_the_manifest_says_what_each_config_is(built: Path, sources: dict[str, str]) -> None:
    content = json.loads((built / "manifest.json").read_bytes())
    assert (content["format"], content["builder"]) == (1, "repeat-after-me")
    assert list(content["configs"]) == [config.name for config in one_of_each()]
    entry = content["configs"]["c4_copy_random_25"]
    assert entry["arguments"] == {"tokens": 25, "order": "random", "num_docs": 5, "seed": 0}
    assert entry["columns"] == ["id", "prompt", "answer", "tokens", "order"]
    assert (entry["source"]["name"], entry["source"]["on_hub"]) == ("texts.jsonl", False)
    tokenizer = load_tokenizer(str(neox_tokenizer()))
    assert entry["tokenizer"]["sha256"] == tokenizer.sha256
    prompts = [row["prompt"] for row in read_rows(parquet_path(built, "c4_copy_random_25"), find("c4_copy"))]
    for key, lengths in (
        ("prompt_characters", sorted(map(len, prompts))),
        ("prompt_tokens", sorted(len(tokenizer.encode(prompt)) for prompt in prompts)),
    ):
        assert entry[key] == {"min": lengths[0], "median": lengths[2], "max": lengths[-1]}


def test_no_file_names_a_folder_of_this_machine(built: Path, sources: dict[str, str]) -> None:
    for content in files(built).values():
        assert b"a folder of this machine" not in content
        assert str(Path(sources["tokenizer"]).parent).encode() not in content


def test_without_a_tokenizer_nothing_is_counted_until_one_is_given(
    tmp_path: Path, sources: dict[str, str]
) -> None:
    configs = find("phone_book").configs([20], num_docs=5)
    assert build(configs, tmp_path, {})[0].entry.prompt_tokens is None
    before = files(tmp_path)
    (counted,) = build(configs, tmp_path, sources)
    assert counted.state == "kept, tokens counted"
    assert counted.entry.prompt_tokens and counted.entry.prompt_tokens.min > 200
    assert read_manifest(tmp_path).configs["phone_book_20"] == counted.entry
    changed = {name for name, content in files(tmp_path).items() if before[name] != content}
    assert changed == {"manifest.json", "README.md"}
    assert build(configs, tmp_path, {})[0] == Result(counted.entry, "kept")


# ---- what is there already


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
        (find("c4_copy").configs([10**6], ["standard"]), "c4_copy_1000000: the source .* too little text"),
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
        (lambda: find("string_cpy"), "no benchmark 'string_cpy'; did you mean 'string_copy'"),
        (lambda: Config(find("c4_copy"), {"tokens": 5}), "needs the arguments order, num_docs, seed"),
        (lambda: Config(find("c4_copy"), {"token": 5}), "no argument 'token'; did you mean 'tokens'"),
        (lambda: find("c4_copy").configs([5], ["reversed"]), "order must be one of .*, not 'reversed'"),
    ],
)
def test_a_slip_in_a_name_is_one_sentence(slip: Any, named: str) -> None:
    with pytest.raises(InputError, match=named):
        slip()


# ---- the command


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
