"""The files of a build: the default release, data files, card and manifest."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from datasets import load_dataset

from dataset_builders.benchmark import Config
from dataset_builders.checksum import content_sha256
from dataset_builders.registry import default_release, find
from dataset_builders.release.build import build
from dataset_builders.release.checksums import known_checksums
from dataset_builders.release.manifest import parquet_path, read_manifest
from dataset_builders.release.parquet_file import read_rows
from dataset_builders.release.schema import features
from dataset_builders.release.verify import SAME, verify
from dataset_builders.sources.tokenizer import load_tokenizer
from lm_eval_tasks.released import read_config
from tests.material import neox_tokenizer, prose
from tests.small_release import built, files, one_of_each, sources


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


@pytest.mark.parametrize("config", one_of_each(), ids=lambda config: config.name)
def test_load_dataset_gives_the_declared_features_and_the_same_rows(built: Path, config: Config) -> None:
    table = load_dataset(str(built / config.name), split="test")
    assert table.features == features(config.benchmark)
    entry = read_manifest(built).configs[config.name]
    assert content_sha256(table) == entry.content_sha256
    assert len(table) == entry.rows
    assert (
        pq.read_schema(parquet_path(built, config.name)).metadata is None
    )  # depends on the version of datasets
    written = pq.ParquetFile(parquet_path(built, config.name)).metadata
    assert written.row_group(0).column(0).compression == "ZSTD"


@pytest.mark.parametrize("config", one_of_each(), ids=lambda config: config.name)
def test_load_dataset_knows_the_configs_of_a_built_folder(built: Path, config: Config) -> None:
    table = load_dataset(str(built), config.name, split="test")
    assert table.features == features(config.benchmark)
    assert content_sha256(table) == read_manifest(built).configs[config.name].content_sha256


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
