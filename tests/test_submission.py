"""From lm-eval's results to entries of a leaderboard: what passes and what is refused."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import EvalResultEntry, parse_eval_result_entries

from dataset_builders import InputError
from dataset_builders.registry import default_release
from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.catalog import entries as catalog_entries
from lm_eval_tasks.publish.submission import (
    PACKAGE_VERSIONS,
    TASK_VERSIONS,
    check,
    entries,
    kept_checksums,
    of_the_benchmark,
)
from lm_eval_tasks.publish.submit import to_yaml
from lm_eval_tasks.results.reader import read_scores
from tests.hub.fixture import GOOD, OTHER, hub  # noqa: F401
from tests.real_results import MODEL, as_task, real_results, written

DATASET = "org/benchmark"
Content = dict[str, Any]


def submitted(content: Content, folder: Path, model: str = MODEL, **options: Any) -> list[EvalResultEntry]:
    """The entries of a result file, as `submit --dry-run` makes them."""
    scores, _ = of_the_benchmark(read_scores([written(folder, content)]))
    check(scores, model, **options)
    return entries(scores, DATASET)


def without_forced(content: Content) -> Content:
    for part in ("configs", "results"):
        content[part] = {task: kept for task, kept in content[part].items() if not task.endswith("_forced")}
    return content


# ---- what passes


def test_entries_of_a_real_run(tmp_path: Path) -> None:
    content = real_results()
    first, second = submitted(content, tmp_path)
    result = content["results"]["phone_book_20"]
    assert (first.dataset_id, first.task_id, second.task_id) == (DATASET, "phone_book_20", "phone_book_40")
    assert first.value == result["exact_match,none"]
    assert 0.6 < first.value < 0.8
    assert first.notes is not None and first.date is not None
    assert f"standard error {result['exact_match_stderr,none']:.2g}" in first.notes
    assert "500 documents" in first.notes and "LIMITED" not in first.notes
    assert "lm-eval 0.4." in first.notes and "dtype=float32" in first.notes
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", first.date)
    (again, _) = parse_eval_result_entries(yaml.safe_load(to_yaml([first, second])))
    assert again == first


def test_f1_is_the_score_where_there_is_no_exact_match(tmp_path: Path) -> None:
    content = as_task(real_results(), "squad_v2_retrieval_50_100")
    for key in [key for key in content["results"]["squad_v2_retrieval_50_100"] if key.endswith(",none")]:
        value = content["results"]["squad_v2_retrieval_50_100"].pop(key)
        new = key.replace("exact_match", "f1").replace("char_accuracy", "em")
        content["results"]["squad_v2_retrieval_50_100"][new] = value
    (entry,) = submitted(content, tmp_path)
    assert entry.value == real_results()["results"]["phone_book_20"]["exact_match,none"]
    assert entry.notes is not None and entry.notes.startswith("f1, standard error")


def test_other_tasks_are_told_apart(tmp_path: Path) -> None:
    content = real_results()
    content["configs"]["phone_book_n"] = copy.deepcopy(content["configs"]["phone_book_20"])
    content["configs"]["phone_book_n"]["metadata"]["length"] = 21
    content["results"]["phone_book_n"] = content["results"]["phone_book_20"]
    scores = read_scores([written(tmp_path, content)])
    found, others = of_the_benchmark(scores)
    assert [score.task for score in found] == ["phone_book_20", "phone_book_40"]
    assert sorted(others) == ["phone_book_20_forced", "phone_book_n"]
    assert [s.task for s in of_the_benchmark(scores, ["phone_book_40"])[0]] == ["phone_book_40"]
    with pytest.raises(InputError, match="hold no task 'phone_book_30', but phone_book_20,"):
        of_the_benchmark(scores, ["phone_book_30"])
    with pytest.raises(
        InputError, match=r"no task of the leaderboard, but phone_book_n; .*such as phone_book_20"
    ):
        of_the_benchmark(scores, ["phone_book_n"])


def test_neither_secrets_nor_folders_get_out(tmp_path: Path) -> None:
    content = real_results()
    content["model_name"] = str(tmp_path / "private" / "model")
    content["config"]["model_args"] |= {"pretrained": content["model_name"], "gguf_file": "/home/me/w.gguf"}
    content["config"]["model_args"]["base_url"] = "http://me:pass@host"
    text = to_yaml(submitted(content, tmp_path))
    for secret in ("hf_secret", "private", "/home", "me:pass", str(tmp_path)):
        assert secret not in text
    assert "other arguments: api_key base_url" in " ".join(text.split())
    assert "gguf_file=w.gguf" in text
    assert "read from a local copy" in text


def test_model_args_in_one_string_and_what_stands_around_prompts(tmp_path: Path) -> None:
    content = real_results()
    content["config"] |= {
        "model_args": "pretrained=org/model,dtype=bfloat16,revision=step10",
        "model_revision": "step10",
        "model_sha": "abc123",
    }
    content |= {"chat_template": "{{ messages }}", "system_instruction": "Be brief."}
    note = submitted(content, tmp_path)[0].notes
    assert note is not None
    assert "; chat template; system instruction; " in note
    assert "; revision step10, commit abc123; dtype=bfloat16; " in note


# ---- what is refused


def edit(*path: str, value: Any = None, drop: bool = False) -> Callable[[Content], None]:
    def apply(content: Content) -> None:
        *folders, last = path
        for key in folders:
            content = content[key]
        if drop:
            del content[last]
        else:
            content[last] = value

    return apply


META = ("configs", "phone_book_40", "metadata")
RESULT = ("results", "phone_book_40")
REFUSED = {
    "task-version": (edit(*META, "version", value=2.0), "version 2.0 of the task, and version 1.0 is known"),
    "no-package": (edit(*META, "repeat_after_me", drop=True), "of repeat-after-me None, and 0.1.0 .*run lm"),
    "package": (edit(*META, "repeat_after_me", value=["9"]), "install the version that made them"),
    "documents": (edit(*META, "documents_sha256", value="f" * 64), "not the benchmark's .*without the doc"),
    "no-documents": (edit(*META, "documents_sha256", value=None), "checksum is None"),
    "limit": (edit("n-samples", "phone_book_40", "original", value=501), "500 of 501 .* --allow-limited"),
    "size": (edit("n-samples", "phone_book_40", drop=True), "do not say how many .*run lm_eval again"),
    "truncated": (edit(*RESULT, "truncated,none", value=0.25), "25.0% of the documents .*max_length="),
    "truncated-nan": (edit(*RESULT, "truncated,none", value="?"), "truncated is '\\?', which is no share"),
    "stderr": (edit(*RESULT, "exact_match_stderr,none", value="N/A"), "no standard error; .*--bootstrap"),
    "stderr-nan": (edit(*RESULT, "exact_match_stderr,none", value=float("nan")), "no standard error"),
    "nan": (edit(*RESULT, "exact_match,none", value=float("nan")), "exact_match is nan, .*run lm_eval again"),
    "above-1": (edit(*RESULT, "exact_match,none", value=70.0), "is 70.0, which is no score from 0 to 1"),
    "text": (edit(*RESULT, "exact_match,none", value="0.7"), "exact_match is '0.7'"),
    "predict-only": (edit(*RESULT, "exact_match,none", drop=True), "none of exact_match or f1; .*--predict"),
    "sampled": (edit("config", "gen_kwargs", value={"temperature": 1}), "run lm_eval again without --gen_kw"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_task_and_the_remedy(case: str, tmp_path: Path) -> None:
    change, said = REFUSED[case]
    content = without_forced(real_results())
    assert len(submitted(content, tmp_path)) == 2
    change(content)
    task = "phone_book_20" if case == "sampled" else "phone_book_40"  # the first that it is said of
    with pytest.raises(InputError, match=rf"^{task}: [^\n]*{said}[^\n]*$"):
        submitted(content, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        edit("config", value="hf"),
        edit("date", value=float("nan")),
        edit(*META, "length", value="40"),
        edit("n-samples", value=[1]),
        edit("configs", "phone_book_40", "generation_kwargs", value="none"),
    ],
)
def test_a_damaged_file_is_one_sentence(change: Callable[[Content], None], tmp_path: Path) -> None:
    content = real_results()
    change(content)
    with pytest.raises(InputError, match="is not a whole result file of lm-eval"):
        submitted(content, tmp_path)


def test_results_of_a_limit_pass_only_as_marked_ones(tmp_path: Path) -> None:
    limited = real_results(limit=8)
    with pytest.raises(InputError, match="phone_book_20: 8 of 500 documents were asked"):
        submitted(limited, tmp_path)
    notes = [entry.notes or "" for entry in submitted(limited, tmp_path, allow_limited=True)]
    assert all(note.startswith("LIMITED to 8 of 500 documents; ") for note in notes)


def test_other_documents_are_refused_whatever_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="phone_book_20: the documents are not the benchmark's"):
        submitted(real_results(num_docs=8), tmp_path, allow_limited=True)


def test_results_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="the results are of org/model, not of org/other; pass --model org/model"
    ):
        submitted(real_results(), tmp_path, model="org/other")
    submitted(real_results(), tmp_path, model="Org/Model")
    other = without_forced(real_results()) | {"model_name": "org/second"}
    written(tmp_path, other, "results_2.json")
    with pytest.raises(InputError, match=r"of 2 models \(org/model, org/second\); submit one at a time"):
        check(read_scores([tmp_path]), MODEL)


def test_every_task_of_the_release_has_a_kept_checksum_or_none() -> None:
    tasks = {entry.name for entry in catalog_entries() if not entry.members}
    assert set(kept_checksums()) == set(default_release())
    assert set(default_release()) <= tasks
    assert set(PACKAGE_VERSIONS) and all(isinstance(version, float) for version in TASK_VERSIONS)
    for file in TASKS_FOLDER.glob("**/_*_yaml"):
        for version in re.findall(r"^  version: (.*)$", file.read_text(), re.MULTILINE):
            assert float(version) in TASK_VERSIONS, f"{file}: can its scores still be compared?"
