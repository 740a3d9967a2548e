"""Records of Every Eval Ever, checked by its own validator if it is installed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from lm_eval_tasks.__main__ import main
from lm_eval_tasks.publish.eligibility import leaderboard_scores
from lm_eval_tasks.publish.every_eval_ever import SCHEMA_VERSION, record
from lm_eval_tasks.results.rows import read_scores
from tests.real_results import MODEL, real_results

DATASET = "org/benchmark"


def made(folder: Path, content: dict[str, Any], **options: Any) -> dict[str, Any]:
    file = folder / "results_1.json"
    file.write_text(json.dumps(content))
    scores, _ = leaderboard_scores(read_scores([file]))
    return record(scores, MODEL, DATASET, retrieved=1_800_000_000.9, **options)


def test_every_metric_of_every_task(tmp_path: Path) -> None:
    content = real_results()
    found = made(tmp_path, content, revision="abc", organization="Org")
    scores = {result["evaluation_result_id"]: result for result in found["evaluation_results"]}
    metrics = ("exact_match", "char_accuracy", "copied_fraction")
    tasks = ("phone_book_20", "phone_book_40")
    assert list(scores) == [
        f"{task}/{metric}" for task in tasks for metric in sorted(metrics, key=_order(content))
    ]
    one = scores["phone_book_40/char_accuracy"]
    result = content["results"]["phone_book_40"]
    assert one["score_details"]["score"] == result["char_accuracy,none"]
    assert one["score_details"]["uncertainty"] == {
        "num_samples": 500,
        "standard_error": {"value": result["char_accuracy_stderr,none"], "method": "analytic"},
    }
    assert one["metric_config"]["metric_id"] == "repeat-after-me.char_accuracy"
    assert one["metric_config"]["lower_is_better"] is False
    assert scores["phone_book_40/exact_match"]["metric_config"]["metric_id"] == "exact-match"
    assert one["source_data"]["hf_repo"] == DATASET
    assert one["source_data"]["additional_details"]["revision"] == "abc"
    assert one["generation_config"]["generation_args"] == {"max_tokens": 50}
    assert found["retrieved_timestamp"] == "1800000000"
    assert found["evaluation_timestamp"] == str(int(content["date"]))
    assert found["source_metadata"]["evaluator_relationship"] == "first_party"
    assert (
        made(tmp_path, content, organization="x")["source_metadata"]["evaluator_relationship"]
        == "third_party"
    )
    assert made(tmp_path, content)["source_metadata"]["evaluator_relationship"] == "other"
    assert "hf_secret" not in json.dumps(found)
    assert "details" not in one["score_details"]
    limited = made(tmp_path, real_results(limit=8))["evaluation_results"]
    assert all(r["score_details"]["details"] == {"limited": "8 of 500 documents"} for r in limited)


def _order(content: dict[str, Any]):
    return [key.partition(",")[0] for key in content["results"]["phone_book_20"]].index


def test_what_is_no_number_is_left_out(tmp_path: Path) -> None:
    content = real_results()
    content["results"]["phone_book_20"]["char_accuracy,none"] = float("nan")
    content["results"]["phone_book_40"]["char_accuracy_stderr,none"] = "N/A"
    found = {r["evaluation_result_id"]: r for r in made(tmp_path, content)["evaluation_results"]}
    assert "phone_book_20/char_accuracy" not in found
    uncertainty = found["phone_book_40/char_accuracy"]["score_details"]["uncertainty"]
    assert uncertainty == {"num_samples": 500}
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize("kind", ["hf", "mamba_ssm", "local-completions"])
def test_its_own_validator_accepts_it(kind: str, tmp_path: Path) -> None:
    """Only if its schema is installed; it requires an older huggingface-hub than ours."""
    package = pytest.importorskip(
        "every_eval_ever.validator.validation_core",
        reason="every-eval-ever is not installed (from Python 3.12: pip install --no-deps every-eval-ever)",
    )
    content = real_results()
    content["config"]["model"] = kind
    file = tmp_path / "12345678-1234-4123-8123-123456789abc.json"
    found = made(tmp_path, content)
    file.write_text(json.dumps(found))
    report = package.validate_aggregate(
        file, repo_path=f"data/repeat-after-me/{MODEL}/{file.name}", run_semantic_checks=True
    )
    assert report.valid and not report.errors and not report.warnings, (report.errors, report.warnings)
    from every_eval_ever.schema import get_schema_version

    assert get_schema_version() == SCHEMA_VERSION
    found["evaluation_results"][0]["score_details"]["score"] = 1.5
    file.write_text(json.dumps(found))
    report = package.validate_aggregate(file, repo_path=f"data/repeat-after-me/{MODEL}/{file.name}",
                                        run_semantic_checks=True)  # fmt: skip
    assert report.warnings or report.errors


def test_the_command_writes_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    results, file = tmp_path / "results_1.json", tmp_path / "new" / "record.json"
    results.write_text(json.dumps(real_results()))
    options = ["--model", MODEL, "--dataset", DATASET, "--dry-run", "--every-eval-ever", str(file)]
    monkeypatch.setattr(sys, "argv", ["lm_eval_tasks", "submit", str(results), *options])
    main()
    found = json.loads(file.read_text())
    assert found["schema_version"] == SCHEMA_VERSION
    assert found["model_info"]["id"] == MODEL
    assert f"written: {file}" in capsys.readouterr().err
    assert [path.name for path in file.parent.iterdir()] == ["record.json"]
    with pytest.raises(
        SystemExit, match=r"^error: .*record.json exists; pass another file with --every-eval-ever"
    ) as refused:
        main()
    assert "\n" not in str(refused.value)
    assert json.loads(file.read_text()) == found
    assert capsys.readouterr().out == ""
