"""The data set's card and eval.yaml: their metadata, and the user's text, which is kept."""

import re
from pathlib import Path

import pytest
import yaml
from datasets import DatasetInfo, SplitDict, SplitInfo
from datasets.info import DatasetInfosDict
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.benchmark import Config
from dataset_builders.registry import default_release, find, own_benchmarks
from dataset_builders.release.card import BEGIN, END, card, merged
from dataset_builders.release.eval_yaml import eval_yaml
from dataset_builders.release.manifest import Entry, LengthSummary, Manifest
from dataset_builders.release.schema import features
from dataset_builders.sources.origin import Origin

TASKS = Path(__file__).parents[1] / "lm_eval_tasks"
C4 = Origin("allenai/c4", True, "1588ec4", "a" * 64)
SQUAD = Origin("rajpurkar/squad_v2", True, "3ffb306", "b" * 64)
LOCAL = Origin("texts.jsonl", False, None, "c" * 64)
NEOX = Origin("EleutherAI/gpt-neox-20b", True, None, "d" * 64)
SOURCES = {"c4_copy": C4, "squad_v2_retrieval": SQUAD}
RELEASE = default_release()


def entry(config: Config, source: Origin | None = None, rows: int = 500) -> Entry:
    return Entry(
        benchmark=config.benchmark,
        documents_version="1.0",
        arguments=config.arguments,
        source=source or SOURCES.get(config.benchmark.name),
        tokenizer=NEOX,
        columns=tuple(config.benchmark.columns),
        rows=rows,
        content_sha256="e" * 64,
        prompt_characters=LengthSummary(1, 2, 3),
        prompt_tokens=LengthSummary(4, 5, 6),
    )


def manifest(*names: str, source: Origin | None = None, rows: int = 500) -> Manifest:
    configs = {name: entry(RELEASE[name], source, rows) for name in names or RELEASE}
    return Manifest(configs, version="1.2.3")


def made(of: Manifest) -> DatasetCard:
    infos = {
        name: DatasetInfo(
            features=features(kept.benchmark),
            splits=SplitDict({"test": SplitInfo("test", num_bytes=10, num_examples=kept.rows)}),
            download_size=5,
            dataset_size=10,
        )
        for name, kept in of.configs.items()
    }
    return card(of, infos, "org/x")


def section(text: str, task: str) -> str:
    return text.partition(f"\n## {task}: ")[2].partition("\n## ")[0]


def test_datasets_reads_back_what_was_declared():
    of = manifest()
    data = DatasetCard(made(of).content).data
    infos = DatasetInfosDict.from_dataset_card_data(data)
    configs = MetadataConfigs.from_dataset_card_data(data)
    assert list(configs) == list(infos) == list(RELEASE)
    assert configs.get_default_config_name() == "phone_book_20"
    for name, kept in of.configs.items():
        assert infos[name].features == features(kept.benchmark)
        assert infos[name].splits["test"].num_examples == kept.rows
        assert configs[name]["data_files"] == [
            {"split": "test", "path": f"{name}/test-00000-of-00001.parquet"}
        ]


def test_one_config_alone():
    data = DatasetCard(made(manifest("phone_book_40")).content).data
    assert list(DatasetInfosDict.from_dataset_card_data(data)) == ["phone_book_40"]
    assert MetadataConfigs.from_dataset_card_data(data).get_default_config_name() == "phone_book_40"


@pytest.mark.parametrize(
    ("names", "source", "license_", "language"),
    [
        (["phone_book_20"], None, "apache-2.0", ["en"]),
        (["string_copy_10"], None, "apache-2.0", None),
        (["c4_copy_25"], None, "odc-by", ["en"]),
        (["squad_v2_retrieval_50_100"], None, "cc-by-sa-4.0", ["en"]),
        (["c4_copy_25"], LOCAL, "other", ["en"]),
        (["phone_book_20", "string_copy_10"], None, "apache-2.0", ["en"]),
        ([], None, ["apache-2.0", "odc-by", "cc-by-sa-4.0"], ["en"]),
    ],
)
def test_licence_and_language_follow_from_the_parts(names, source, license_, language):
    data = made(manifest(*names, source=source)).data
    assert data.license == license_
    assert data.language == language


@pytest.mark.parametrize(
    ("rows", "category"), [(999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (100_000, "100K<n<1M")]
)
def test_size_category(rows, category):
    assert made(manifest("phone_book_20", rows=rows)).data.size_categories == [category]


def test_source_data_sets():
    assert made(manifest()).data.source_datasets == ["original", "allenai/c4", "rajpurkar/squad_v2"]
    assert made(manifest("c4_copy_25", source=LOCAL)).data.source_datasets is None


def test_every_part_says_what_its_columns_and_its_source_are():
    of = manifest()
    text = made(of).text
    for benchmark in own_benchmarks().values():
        name = benchmark.card.heading.partition(":")[0]
        columns = re.findall(r"^\| `(\w+)` \|", section(text, name), re.MULTILINE)
        assert columns == list(benchmark.columns), name
        assert "*Licence.*" in section(text, name)
    assert "revision `1588ec4`" in section(text, "c4_copy")
    assert "revision `3ffb306`" in section(text, "squad_v2_retrieval")
    assert "{{" not in text and "{%" not in text
    citations = {benchmark.card.citation for benchmark in own_benchmarks().values()} - {""}
    assert text.count("```") == 2 * (3 + len(citations))  # and two commands, and the paper itself
    assert text.count("@article{jelassi2024repeat") == 1 and text.count("@article{raffel2020exploring") == 1
    only = made(manifest("phone_book_20")).text
    assert section(only, "phone_book") and not section(only, "c4_copy") and "rajpurkar" not in only


def test_texts_of_a_file_are_not_given_c4s_licence():
    text = section(made(manifest("c4_copy_25", source=LOCAL)).text, "c4_copy")
    assert "`texts.jsonl`" in text and "ODC-BY" not in text and "not recorded" in text
    released = made(manifest()).text
    assert "ODC-BY" in section(released, "c4_copy") and "not recorded" not in released
    assert "under Apache-2.0" in section(released, "phone_book")


def test_documents_that_are_not_the_benchmarks_are_named():
    other = entry(find("phone_book").config(20, num_docs=4, seed=7))
    of = Manifest({"phone_book_20": other, "phone_book_40": entry(RELEASE["phone_book_40"])}, "1")
    assert "documents of phone_book_20 are not" in made(of).text
    assert "--tasks phone_book_40 " in made(of).text  # lm-eval would refuse the documents of phone_book_20
    assert "are not the benchmark's own" not in made(manifest()).text
    assert "documents of c4_copy_25 are not" in made(manifest("c4_copy_25", source=LOCAL)).text
    only = made(Manifest({"phone_book_20": other}, "1")).text
    assert "documents of phone_book_20 are not" in only and "lm_eval" not in only


def test_sizes_of_every_config():
    of = manifest()
    rows = re.findall(r"^\| `(\w+)` \| 500 \| 1, 2, 3 \| 4, 5, 6 \|$", made(of).text, re.MULTILINE)
    assert rows == list(of.configs)
    assert "`EleutherAI/gpt-neox-20b`" in made(of).text


def test_groups_are_those_of_the_tasks():
    groups = {name: of for b in own_benchmarks().values() for name, of in b.groups.items()}
    for group, members in groups.items():
        (file,) = TASKS.glob(f"*/{group}.yaml")
        assert yaml.safe_load(file.read_text())["task"] == [config.name for config in members]
    assert f"--tasks {','.join(groups)} " in made(manifest()).text


def test_eval_yaml():
    content = yaml.safe_load(eval_yaml(manifest()))
    assert list(content) == ["name", "description", "evaluation_framework", "tasks"]
    assert isinstance(content["evaluation_framework"], str)
    assert [task["id"] for task in content["tasks"]] == list(RELEASE)
    assert all(task == {"id": task["id"], "config": task["id"], "split": "test"} for task in content["tasks"])


EXISTING = """---
license: mit
annotations_creators: [found]
tags: [mine, copying]
configs:
- config_name: phone_book_999
  data_files: [{split: test, path: phone_book_999/test-00000-of-00001.parquet}]
- config_name: theirs
  data_files: theirs.csv
  default: true
dataset_info:
- config_name: phone_book_999
  features: [{name: id, dtype: string}]
- config_name: theirs
  features: [{name: a, dtype: int64}]
---
# Theirs

Above.
"""


def test_what_people_added_is_kept_and_what_is_ours_is_replaced():
    new = made(manifest("phone_book_20", "phone_book_40"))
    data = DatasetCard(merged(new, EXISTING, ["phone_book_999"])).data
    assert data.license == "apache-2.0"
    assert data.annotations_creators == ["found"]
    assert data.tags == [*new.data.tags, "mine"]
    configs = MetadataConfigs.from_dataset_card_data(data)
    assert list(configs) == ["phone_book_20", "phone_book_40", "theirs"]
    assert configs.get_default_config_name() == "theirs"
    assert list(DatasetInfosDict.from_dataset_card_data(data)) == list(configs)


def test_text_outside_the_marks_is_kept():
    first = merged(made(manifest("phone_book_20")), EXISTING, [])
    assert first.endswith(f"{END}\n\n# Theirs\n\nAbove.\n")
    edited = first.replace(BEGIN, f"Mine first.\n\n{BEGIN}")
    second = DatasetCard(merged(made(manifest("phone_book_40")), edited, ["phone_book_20"])).text
    before, _, after = second.partition(BEGIN)
    assert before.strip() == "Mine first."
    assert after.partition(END)[2] == "\n\n# Theirs\n\nAbove.\n"
    assert "phone_book_20" not in after and "phone_book_40" in after


WORDS = st.text(st.sampled_from("ab-:#\n\r\t \ufeff'{}é\u2028"), max_size=40)


NEW = made(manifest("phone_book_20"))


@settings(deadline=None, max_examples=60)
@given(
    before=WORDS,
    ours=st.sampled_from(["", f"{BEGIN}\nold\n{END}"]),
    after=WORDS,
    metadata=st.dictionaries(st.sampled_from(["doi", "size", "x-y"]), WORDS),
)
def test_merging_again_changes_nothing(before, ours, after, metadata):
    inner = f"{before}\n{ours}\n{after}"
    existing = f"---\n{yaml.safe_dump(metadata)}---\n{inner}"
    once = merged(NEW, existing, [])
    assert merged(NEW, once, []) == once
    kept = DatasetCard(once).data.to_dict()
    assert {key: kept[key] for key in metadata} == metadata


@pytest.mark.parametrize("existing", ["", "# Only text\n", "---\n---\n", "---\n\n---\ntext"])
def test_a_card_without_metadata(existing):
    new = made(manifest("phone_book_20"))
    assert DatasetCard(merged(new, existing, [])).data.to_dict() == new.data.to_dict()


@pytest.mark.parametrize(
    "existing",
    [
        f"---\na: b\n---\n{BEGIN}\n",
        f"---\na: b\n---\n{END}\n{BEGIN}\n",
        f"---\na: b\n---\n{BEGIN}{END}{BEGIN}{END}\n",
        "---\na: [b\n---\n",
        "---\n- a\n---\n",
        "---\nconfigs: text\n---\n",
        "---\ntags:\n\t- a\n---\n",
        "---\na: !!bool x\n---\n",
        "---\na: !!timestamp x\n---\n",
        "---\na: 2026-13-45\n---\n",
        f"---\na: {'[' * 10_000}\n---\n",
    ],
)
def test_a_card_that_cannot_be_merged_with_is_refused(existing):
    with pytest.raises(InputError, match=r"README\.md") as error:
        merged(made(manifest("phone_book_20")), existing, [])
    assert "\n" not in str(error.value)


def test_keys_that_people_added_stay_in_their_order():
    """Older versions of huggingface_hub write them in an order that differs from process to process."""
    added = ["x-f", "x-b", "doi", "x-e", "x-a", "size"]
    header = "".join(f"{key}: 1\n" for key in added)
    written = yaml.safe_load(merged(NEW, f"---\n{header}---\n", []).split("---\n")[1])
    assert [*written][-len(added) :] == added
