"""From lm-eval's results to entries of a leaderboard: what is accepted and what is refused."""

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
from lm_eval_tasks.catalog import task_files
from lm_eval_tasks.publish.eligibility import (
    PACKAGE_VERSIONS,
    check,
    kept_checksums,
    leaderboard_scores,
)
from lm_eval_tasks.publish.submission import entries
from lm_eval_tasks.publish.submit import to_yaml
from lm_eval_tasks.results.rows import read_scores
from tests.hub.fixture import GOOD, OTHER
from tests.real_results import MODEL, as_task, real_results, written

DATASET = "org/benchmark"
Content = dict[str, Any]


def submitted(content: Content, folder: Path, model: str = MODEL, **options: Any) -> list[EvalResultEntry]:
    """The entries of a result file, as `submit --dry-run` makes them."""
    scores, _ = leaderboard_scores(read_scores([written(folder, content)]))
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
    low, high = (float(end) for end in re.findall(r"95% interval ([0-9.]+) to ([0-9.]+)", first.notes)[0])
    assert low < first.value < high < low + 0.09
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
    assert entry.notes is not None and entry.notes.startswith("f1, 95% interval")


def test_other_tasks_are_told_apart(tmp_path: Path) -> None:
    content = real_results()
    content["configs"]["phone_book_n"] = copy.deepcopy(content["configs"]["phone_book_20"])
    content["configs"]["phone_book_n"]["metadata"]["length"] = 21
    content["results"]["phone_book_n"] = content["results"]["phone_book_20"]
    scores = read_scores([written(tmp_path, content)])
    found, others = leaderboard_scores(scores)
    assert [score.task for score in found] == ["phone_book_20", "phone_book_40"]
    assert sorted(others) == ["phone_book_20_forced", "phone_book_n"]
    assert [s.task for s in leaderboard_scores(scores, ["phone_book_40"])[0]] == ["phone_book_40"]
    with pytest.raises(
        InputError, match="do not contain the task 'phone_book_30'; they contain phone_book_20,"
    ):
        leaderboard_scores(scores, ["phone_book_30"])
    with pytest.raises(
        InputError, match=r"no task of the leaderboard, only phone_book_n; .*such as phone_book_20"
    ):
        leaderboard_scores(scores, ["phone_book_n"])


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
    assert "read from a local copy" in " ".join(text.split())


def test_model_args_in_one_string_and_what_stands_around_prompts(tmp_path: Path) -> None:
    content = real_results()
    content["config"] |= {
        "model_args": "pretrained=org/model,dtype=bfloat16,revision=step10",
        "model_revision": "step10",
        "model_sha": "abc123",
    }
    content |= {"chat_template": "{{ messages }}"}
    note = submitted(content, tmp_path)[0].notes
    assert note is not None
    assert "; chat template; " in note
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
CONFIG = ("configs", "phone_book_40")
REFUSED = {
    "task-version": (edit(*META, "version", value=2.0), "version 2.0 of the task, but this installation has"),
    "no-package": (edit(*META, "repeat_after_me", drop=True), "repeat-after-me null, but .* 0.1.0; .*run lm"),
    "package": (edit(*META, "repeat_after_me", value="9"), "install the version that wrote them"),
    "length": (edit(*META, "length", value=41), "the length is 41, but the task has the length 40"),
    "benchmark": (edit(*META, "benchmark", value="c4_copy"), "the benchmark c4_copy, not from phone_book"),
    "documents": (edit(*META, "documents_sha256", value="f" * 64), "not the benchmark's .*without the doc"),
    "adapter": (edit("config", "model_args", "peft", value="me/adapter"), "the adapter me/adapter"),
    "delta": (edit("config", "model_args", "delta", value="me/delta"), "the adapter me/delta"),
    "shots": (edit("n-shot", "phone_book_40", value=5), "5 few-shot examples.*without --num_fewshot"),
    "ended-prompts": (edit(*CONFIG, "metadata", "ended_prompts", value=True), "ended each prompt with"),
    "configured-shots": (edit(*CONFIG, "num_fewshot", value=2), "2 few-shot examples"),
    "system": (edit("system_instruction", value="Be brief."), "system instruction.*--system_instruction"),
    "sampled": (edit("config", "gen_kwargs", value={"temperature": 1}), "run lm_eval again without --gen_kw"),
    "until": (edit(*CONFIG, "generation_kwargs", "until", value=["x"]), r'until is \["x"\], but the bench'),
    "temperature": (edit(*CONFIG, "generation_kwargs", "temperature", value=1), "temperature is 1, but"),
    "room": (edit(*CONFIG, "generation_kwargs", "max_gen_toks", value=5), "max_gen_toks is 5, but .* 50"),
    "prompt": (edit(*CONFIG, "doc_to_text", value="{{answer}}"), "doc_to_text is {{answer}}, but the"),
    "description": (edit(*CONFIG, "description", value="Copy!"), "description is Copy!, but the"),
    "limit": (edit(*RESULT, "sample_len", value=400), "400 of 500 .* --allow-limited"),
    "more": (edit(*RESULT, "sample_len", value=501), "501 evaluated documents of 500, which is impossible"),
    "num-docs": (edit("n-samples", "phone_book_40", "original", value=501), "had 501 documents, .* has 500"),
    "size": (edit("n-samples", "phone_book_40", drop=True), "do not say how many .*run lm_eval again"),
    "old": (edit("date", value=1e9), "before the benchmark existed"),
    "future": (edit("date", value=8e9), "in the future"),
    "truncated": (edit(*RESULT, "truncated,none", value=0.25), "25.0% of the documents .*max_length="),
    "truncated-nan": (edit(*RESULT, "truncated,none", value="?"), "truncated is not a fraction of documents"),
    "stderr": (edit(*RESULT, "exact_match_stderr,none", value="N/A"), "no standard error; .*--bootstrap"),
    "stderr-nan": (edit(*RESULT, "exact_match_stderr,none", value=float("nan")), "no standard error"),
    "stderr-other": (edit(*RESULT, "exact_match_stderr,none", value=0.1), "cannot have the standard error 0"),
    "stderr-0": (edit(*RESULT, "exact_match_stderr,none", value=0.0), "cannot have the standard error 0"),
    "nan": (edit(*RESULT, "exact_match,none", value=float("nan")), "exact_match is not a score from 0 to 1"),
    "above-1": (edit(*RESULT, "exact_match,none", value=70.0), "exact_match is not a score from 0 to 1"),
    "text": (edit(*RESULT, "exact_match,none", value="0.7"), "exact_match is not a score from 0 to 1"),
    "no-share": (edit(*RESULT, "exact_match,none", value=0.70001), "is not a fraction of 500 documents"),
    "predict-only": (edit(*RESULT, "exact_match,none", drop=True), "nor f1 nor recall; .*--predict"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal_names_the_task_and_the_remedy(case: str, tmp_path: Path) -> None:
    change, said = REFUSED[case]
    content = without_forced(real_results())
    assert len(submitted(content, tmp_path)) == 2
    change(content)
    of_the_run = ("adapter", "delta", "system", "sampled", "old", "future")
    task = "phone_book_20" if case in of_the_run else "phone_book_40"
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
        edit(*META, "documents_sha256", value=None),
        edit(*META, "repeat_after_me", value=["9"]),
        edit(*RESULT, "sample_len", value=0),
        edit(*RESULT, "exact_match_stderr,none", value=-0.1),
    ],
)
def test_a_damaged_file_is_one_sentence(change: Callable[[Content], None], tmp_path: Path) -> None:
    content = real_results()
    change(content)
    with pytest.raises(InputError, match="is not a complete result file of lm-eval"):
        submitted(content, tmp_path)


def test_results_of_a_limit_pass_only_as_marked_ones(tmp_path: Path) -> None:
    limited = real_results(limit=8)
    with pytest.raises(InputError, match="phone_book_20: only 8 of 500 documents were evaluated"):
        submitted(limited, tmp_path)
    notes = [entry.notes or "" for entry in submitted(limited, tmp_path, allow_limited=True)]
    assert all(note.startswith("LIMITED to 8 of 500 documents; ") for note in notes)


def test_other_documents_are_refused_whatever_is_allowed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="phone_book_20: the documents are not the benchmark's"):
        submitted(real_results(num_docs=8), tmp_path, allow_limited=True)


def test_results_of_another_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="the results are from org/model, not from org/other; pass --model org/model"
    ):
        submitted(real_results(), tmp_path, model="org/other")
    submitted(real_results(), tmp_path, model="Org/Model")
    other = without_forced(real_results()) | {"model_name": "org/second"}
    written(tmp_path, other, "results_2.json")
    with pytest.raises(
        InputError, match=r"from 2 models \(org/model, org/second\); submit one model at a time: pass"
    ):
        check(read_scores([tmp_path]), MODEL)


def test_a_local_folder_may_go_to_any_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / MODEL).mkdir(parents=True)
    assert len(submitted(real_results(), tmp_path, model="org/other")) == 2


def test_every_task_of_the_release_has_a_kept_checksum_or_none() -> None:
    tasks = {entry.name for entry in task_files() if not entry.members}
    assert set(kept_checksums()) == set(default_release())
    assert set(default_release()) <= tasks
    assert set(PACKAGE_VERSIONS)


def test_an_adapter_may_go_to_its_own_repository(tmp_path: Path) -> None:
    content = real_results() | {"model_name": "me/adapter"}
    content["config"]["model_args"]["peft"] = "me/adapter"
    for name in ("me/adapter", "Me/Adapter"):
        assert len(submitted(content, tmp_path, name)) == 2


def test_runs_that_differ_are_not_submitted_together(tmp_path: Path) -> None:
    other = real_results()
    other["config"]["model_args"]["revision"] = "step10"
    written(tmp_path, other, "results_2.json")
    written(tmp_path, real_results())
    scores, _ = leaderboard_scores(read_scores([tmp_path]))
    with pytest.raises(
        InputError, match="from runs with different settings .model; model@step10.; pass the result files"
    ):
        check(scores, MODEL)


def test_the_standard_error_of_f1_has_a_bound(tmp_path: Path) -> None:
    content = as_task(real_results(), "squad_v2_retrieval_50_100")
    result = content["results"]["squad_v2_retrieval_50_100"]
    for key in ("exact_match", "exact_match_stderr"):
        result[key.replace("exact_match", "f1") + ",none"] = result.pop(f"{key},none")
    result["f1_stderr,none"] /= 2
    submitted(content, tmp_path)
    result["f1_stderr,none"] *= 3
    with pytest.raises(InputError, match="cannot have the standard error"):
        submitted(content, tmp_path)
