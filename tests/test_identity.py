"""Which runs share a row of a report, the labels of the rows, and which score a row shows."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.registry import find
from lm_eval_tasks.results.identity import Identity
from lm_eval_tasks.results.labels import labels, training_step, without_step
from lm_eval_tasks.results.rows import read_scores, row_labels
from tests.result_files import content, result_file

TASK = "phone_book_20"


def rows(folder: Path, *names: str) -> dict[str, float | None]:
    return {score.label: score.main_value for score in read_scores([folder], names) if score.task == TASK}


# ---- separate rows


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"model": "/x/runA/model"}, {"model": "/x/runB/model"}, ["runA/model", "runB/model"]),
        ({"model": "a/model"}, {"model": "b/other"}, ["model", "other"]),
        ({"model": "model"}, {"model": "x/model"}, ["model", "x/model"]),
        ({"model": "/model"}, {"model": "model"}, ["/model", "model"]),
        ({"chat_template": "{{ messages }}"}, {}, ["model", "model, chat template"]),
        ({"chat_template": "a"}, {"chat_template": "b"}, None),
        ({"system_instruction": "Be brief."}, {}, ["model", "model, system instruction"]),
        ({"n-shot": {TASK: 5}}, {"n-shot": {TASK: 0}}, ["model", "model, 5-shot"]),
        ({"config": {"model_dtype": "torch.float32"}}, {"config": {"model_dtype": "torch.bfloat16"}},
         ["model, bfloat16", "model, float32"]),
        ({"config": {"model_sha": "abc1234567"}}, {"config": {"model_sha": "def1234567"}},
         ["model, commit abc1234", "model, commit def1234"]),
        ({"config": {"model": "vllm"}}, {}, ["model, backend=hf", "model, backend=vllm"]),
        ({"config": {"model": "local-completions"}}, {"config": {"model_dtype": "torch.float32"}},
         ["model, backend=hf", "model, backend=local-completions"]),
        ({"config": {"gen_kwargs": {"temperature": 1}, "fewshot_seed": 1}}, {"config": {"fewshot_seed": 1}},
         ["model", 'model, gen_kwargs={"temperature": 1}']),
        ({"metadata": {"seed": 1}, "checksum": "aa"}, {}, ["model", "model, seed=1"]),
        ({"checksum": "aa"}, {}, None),
        ({"config": {"model_num_parameters": 7}}, {"config": {"model_num_parameters": 8}}, None),
        ({"fewshot_as_multiturn": True}, {}, None),
        ({"config": {"peft_sha": "abc1234567"}}, {"config": {"peft_sha": "def1234567"}}, None),
        ({"n-shot": {TASK: 5}, "config": {"fewshot_seed": 1}},
         {"n-shot": {TASK: 5}, "config": {"fewshot_seed": 2}}, None),
        ({"metadata": {"version": 2.0}}, {}, ["model, version=1.0", "model, version=2.0"]),
    ],
)  # fmt: skip
def test_runs_that_differ_are_separate_rows(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], expected: list[str] | None
) -> None:
    result_file(tmp_path, {TASK: 0.25}, **first)
    result_file(tmp_path, {TASK: 0.75}, **second)
    found = rows(tmp_path)
    assert sorted(found.values()) == [0.25, 0.75]
    if expected is not None:
        assert list(found) == expected


@pytest.mark.parametrize(
    "task", ["phone_book_gap_100", "phone_book_gap_100_forced", "phone_book_gap_100_gain", "phone_book_gap_1"]
)
def test_the_default_of_a_twin_is_not_named(tmp_path: Path, task: str) -> None:
    """``entries`` is 20 by default, so a row of 20 entries has the benchmark's label."""
    for entries, checksum in ((20, "aa"), (40, "bb")):
        result_file(tmp_path, {task: 0.25}, metadata={"entries": entries}, checksum=checksum)
    assert [score.label for score in read_scores([tmp_path])] == ["model", "model, entries=40"]


@pytest.mark.parametrize("task", ["string_copy_20", "string_copy_20_forced"])
def test_the_default_of_a_setting_is_not_named(tmp_path: Path, task: str) -> None:
    result_file(tmp_path, {task: 0.25}, metadata={"spelling": "symbols"}, checksum="aa")
    result_file(tmp_path, {task: 0.75}, metadata={"spelling": "spaced"})
    assert [score.label for score in read_scores([tmp_path])] == ["model", "model, spelling=symbols"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("revision=step10", "model@step10"),
        ("peft=me/adapter", "model, peft=adapter"),
        ("subfolder=final", "model, subfolder=final"),
        ("load_in_4bit=True", "model, load_in_4bit=True"),
        ("max_length=128", "model, max_length=128"),
        ("tokenizer=org/model", "model, tokenizer=model"),
        ("base_url=http://me:secret@host", "model, base_url"),
    ],
)
def test_model_arguments_that_differ_are_separate_rows(tmp_path: Path, arguments: str, expected: str) -> None:
    result_file(tmp_path, {TASK: 0.25})
    result_file(tmp_path, {TASK: 0.75}, model_args=f"pretrained=org/model,{arguments}")
    assert list(rows(tmp_path)) == ["model", expected]


def test_values_that_may_be_secret_are_numbered(tmp_path: Path) -> None:
    for host in ("one", "two"):
        arguments = {"model": "org/model", "base_url": f"http://user:{host}@host"}
        result_file(tmp_path, {TASK: 0.5}, model_args=arguments)
    assert list(rows(tmp_path)) == ["model, base_url #1", "model, base_url #2"]


# ---- one row


@pytest.mark.parametrize(
    "same",
    [
        {"config": {"batch_size": 64}},
        {"model_args": {"pretrained": "org/model", "device_map": "auto", "max_batch_size": 8}},
        {"model_args": "pretrained=org/model"},
        {"config": {"model_revision": "main"}},
        {"config": {"fewshot_seed": 7}},
        {"lm_eval_version": "0.5.0"},
    ],
)
def test_what_changes_no_answer_is_no_other_row(tmp_path: Path, same: dict[str, Any]) -> None:
    result_file(tmp_path, {TASK: 0.25}, date=1.7e9)
    result_file(tmp_path, {TASK: 0.75}, date=1.8e9, **same)
    assert rows(tmp_path) == {"model": 0.75}


def test_a_run_with_a_limit_never_replaces_a_longer_one(tmp_path: Path) -> None:
    result_file(tmp_path, {TASK: 0.25, "phone_book_40": 0.5}, date=1.7e9)
    result_file(tmp_path, {TASK: 1.0, "phone_book_60": 1.0}, date=1.8e9, documents=4)
    found = {score.length: (score.documents, score.main_value) for score in read_scores([tmp_path])}
    assert found == {20: (500, 0.25), 40: (500, 0.5), 60: (4, 1.0)}


def test_a_score_keeps_its_measurements_and_gets_those_that_it_lacks(tmp_path: Path) -> None:
    def timing(machine: str, seconds: float) -> dict[str, Any]:
        counts = dict.fromkeys(("batch_size", "prompt_tokens", "new_tokens", "repetitions"), 1)
        values = dict.fromkeys(("prefill_seconds", "token_seconds", "tokens_per_second"), seconds)
        ranges = {key: [seconds, seconds] for key in ("prefill_range", "token_range")}
        return {**counts, **values, **ranges, "machine": machine}

    older = {"timing": [timing("a", 1.0), timing("b", 2.0)], "state_bytes": 1000}
    result_file(tmp_path, {TASK: 0.25}, date=1.7e9, metadata=older)
    result_file(tmp_path, {TASK: 0.75}, date=1.8e9, metadata={"timing": [timing("a", 3.0)]})
    (score,) = read_scores([tmp_path])
    assert (score.main_value, score.state_bytes) == (0.75, 1000)
    assert {one.machine: one.token_seconds for one in score.timings} == {"a": 3.0, "b": 2.0}


def test_chosen_documents_are_no_prefix(tmp_path: Path) -> None:
    result_file(tmp_path, {TASK: 0.25})
    result_file(tmp_path, {TASK: 0.75}, documents=4, config={"limit": None})
    assert list(rows(tmp_path)) == ["model", "model, --samples=4"]


def test_fewer_documents_of_the_same_builder_are_a_prefix(tmp_path: Path) -> None:
    result_file(tmp_path, {TASK: 0.25}, date=1.7e9)
    result_file(tmp_path, {TASK: 0.75}, date=1.8e9, checksum="aa", documents=8, metadata={"num_docs": 8})
    assert rows(tmp_path) == {"model": 0.25}
    result_file(tmp_path, {TASK: 0.5}, checksum="bb", metadata={"num_docs": 7, "repeat_after_me": "9"})
    assert len(rows(tmp_path)) == 3, "documents of another version may be others"


@pytest.mark.parametrize("name", ["phone_book", "string_copy", "string_suffix_ngram"])
def test_builders_give_the_same_first_documents_however_many_are_made(name: str) -> None:
    benchmark = find(name)
    many, few = (list(benchmark.builder(**benchmark.config(20, num_docs=n).arguments)) for n in (8, 3))
    assert many[:3] == few


def test_documents_of_different_benchmarks_do_not_split_a_row(tmp_path: Path) -> None:
    result_file(tmp_path, {TASK: 0.5, "string_copy_20": 0.5, "string_copy_20_forced": 0.5})
    result_file(tmp_path, {"c4_copy_25": 0.5}, metadata={"source": "texts", "tokenizer": "x"}, checksum="aa")
    assert row_labels(read_scores([tmp_path])) == ["model"]


def test_commits_are_separate_rows_on_every_benchmark(tmp_path: Path) -> None:
    for task, commit in ((TASK, "abc1234567"), ("c4_copy_25", "def1234567")):
        result_file(tmp_path, {task: 0.5}, config={"model_sha": commit})
    assert sorted(row_labels(read_scores([tmp_path]))) == ["model, commit abc1234", "model, commit def1234"]


@pytest.mark.parametrize(
    "tasks",
    [
        {"phone_book_gap_1": {"gap": 1}, "phone_book_gap_100": {"gap": 100}},
        {"squad_v2_retrieval_50_100": {"max_tokens": 100}, "squad_v2_retrieval_100_150": {"max_tokens": 150}},
    ],
    ids=["any length", "ranges"],
)
def test_lengths_do_not_split_a_row(tmp_path: Path, tasks: dict[str, dict[str, int]]) -> None:
    for task, metadata in tasks.items():
        result_file(tmp_path, {task: 0.5}, metadata=metadata)
    assert row_labels(read_scores([tmp_path])) == ["model"]


# ---- labels


def test_labels_do_not_depend_on_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "model").mkdir(parents=True)
    result_file(tmp_path, {TASK: 0.5}, model="org/model")
    here = rows(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert rows(Path(os.curdir)) == here == {"model": 0.5}


def test_names_that_the_user_gives(tmp_path: Path) -> None:
    for model in ("org/mamba", "org/pythia"):
        result_file(tmp_path, {TASK: 0.5}, model=model)
    assert list(rows(tmp_path, "Mamba (ours)=*mamba", "P=pyth?a")) == ["Mamba (ours)", "P"]
    for name, message in (
        ("Mamba", "a label must be NAME=PATTERN"),
        ("=x", "a label must be NAME=PATTERN"),
        ("x=*", "must match one row, and matches 'mamba', 'pythia'; the rows are"),
        ("x=nothing", "matches none; the rows are 'mamba', 'pythia'"),
        ("pythia=mamba", "two rows would have the label 'pythia'"),
    ):
        with pytest.raises(InputError, match=message):
            rows(tmp_path, name)


def test_training_steps() -> None:
    for text, step in (
        ("step1000", 1000), ("run/checkpoint-500", 500), ("step_2000", 2000), ("global_step80", 80),
        ("step1000-tokens4B", 1000), ("iter-7", 7), ("main", None), ("pythia-410m", None), ("misstep1", None),
    ):  # fmt: skip
        assert training_step(text) == step, text
    assert without_step("stage1-step10-tokens4B", 10) == without_step("stage1-step20-tokens8B", 20)
    assert without_step("iter1/checkpoint-500", 500) == "iter1/*"


parts = st.sampled_from(["a", "b", "model", "step1", "step2", "@step1", ", x", "", "."])
identities = st.builds(
    Identity,
    source=st.lists(parts, min_size=1, max_size=4).map("/".join),
    settings=st.dictionaries(
        st.sampled_from(["revision", "peft", "shots", "chat template", "base_url", "commit"]),
        st.sampled_from(["1", "2", "a/x", "b/x", "x" * 200]),
    ).map(lambda found: tuple(sorted(found.items()))),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(identities, min_size=1, max_size=12, unique=True))
def test_labels_always_tell_rows_apart(rows: list[Identity]) -> None:
    found = labels(rows)
    assert set(found) == set(rows)
    assert len(set(found.values())) == len(rows)
    assert all(label.isprintable() and len(label) <= 130 for label in found.values())


def test_model_names_reach_reports_without_control_characters(tmp_path: Path) -> None:
    name = "\x1b[31mred\x1b]0;title\x07\u202e\n"
    result_file(tmp_path, {TASK: 0.5}, model=name, lm_eval_version=name, config={"batch_size": name})
    (score,) = read_scores([tmp_path])
    assert score.label == r"\x1b[31mred\x1b]0;title\x07\u202e\n"
    assert all(text.isprintable() for text in (str(score.run.batch_size), *score.run.versions.values()))
    file = result_file(tmp_path, {TASK: 0.5})
    file.write_text(json.dumps(content({TASK: 0.5})).replace('"org/model"', '"\\ud800"'))
    with pytest.raises(InputError, match="is not a complete result file"):
        read_scores([file])
