"""Files of a probe's results: none is lost. Printed scores are short."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from lm_eval_tasks.probe import RecallScore, write_results
from lm_eval_tasks.probe.callback import _run_folder
from lm_eval_tasks.probe.results import STARTED, written_run
from lm_eval_tasks.probe.scores import DocumentScore

RIGHT = DocumentScore("a", 1.0, -0.5, 0.0, 0.0, 0.0)


def written(folder: Path, *tasks: str, model: str = "run_a", step: int = 0, **options: Any) -> dict[str, Any]:
    config = {"metric_list": [{"metric": "exact_match", "higher_is_better": True}]}
    scores = {task: RecallScore(task, config, [RIGHT, RIGHT]) for task in tasks or ("phone_book_20",)}
    found: dict[str, Any] = json.loads(
        write_results(scores, folder, model=model, step=step, **options).read_text()
    )
    return found


def test_a_result_is_not_replaced_by_that_of_another_run(tmp_path: Path) -> None:
    first = written(tmp_path)
    for options, message in [
        (
            {"model": "run_b"},
            "the training run 'run_a', which would be lost; write those of 'run_b' to",
        ),
        ({"settings": {"lr": 1}}, "results_step0.json has .* the training run 'run_a' with other settings"),
    ]:
        with pytest.raises(InputError, match=message):
            written(tmp_path, **options)
    assert json.loads((tmp_path / "results_step0.json").read_text()) == first
    assert written(tmp_path, model="run_b", step=1)["model_name"] == "run_b"


def test_no_task_of_a_step_is_lost(tmp_path: Path) -> None:
    written(tmp_path, "phone_book_20", "phone_book_40")
    with pytest.raises(InputError, match="has scores of phone_book_40, which would be lost"):
        written(tmp_path, "phone_book_20")
    both = written(tmp_path, "phone_book_20", "phone_book_40", "string_copy_10")
    assert len(both["results"]) == 3


def test_printed_scores_have_means_and_no_documents() -> None:
    scores = {"mqar_4": RecallScore("mqar_4", {"task": "mqar_4_forced"}, [RIGHT] * 100)}
    assert str(scores) == (
        "{'mqar_4': RecallScore(task='mqar_4', exact_match=1, logprob_per_token=-0.5, 100 documents)}"
    )
    too_long = DocumentScore("b", 0.0, None, 1.0, 0.0, 0.0)
    assert repr(RecallScore("a", {}, [RIGHT, too_long, too_long])) == (
        "RecallScore(task='a', exact_match=0.3333, logprob_per_token=-0.5, truncated=0.6667, 3 documents)"
    )
    assert "exact_match=0, logprob_per_token=None, truncated=1," in repr(RecallScore("a", {}, [too_long]))


def test_means_have_standard_errors_and_are_unknown_if_a_value_is_not_finite() -> None:
    less_sure = replace(RIGHT, logprob_per_token=-1.5)
    both = RecallScore("a", {}, [RIGHT, less_sure])
    assert (both.logprob_per_token, both.stderr("logprob_per_token")) == (-1.0, pytest.approx(0.5))
    assert RecallScore("a", {}, [RIGHT]).stderr("logprob_per_token") is None
    unknown = RecallScore("a", {}, [RIGHT, less_sure, replace(RIGHT, logprob_per_token=math.nan)])
    assert unknown.logprob_per_token is unknown.stderr("logprob_per_token") is None
    assert unknown.exact_match == 1


@pytest.mark.parametrize("text", ["", "[]", '{"results": {}}'])
def test_a_file_of_something_else_is_kept(text: str, tmp_path: Path) -> None:
    file = tmp_path / "results_step0.json"
    file.write_text(text)
    with pytest.raises(InputError, match="results_step0.json is (not a file of a probe's results|damaged)"):
        written(tmp_path)
    assert file.read_text() == text


def test_a_resumed_run_continues_in_its_folder(tmp_path: Path) -> None:
    assert _run_folder(tmp_path, fresh=True) == (tmp_path, 1)
    written(tmp_path, model="out")
    assert _run_folder(tmp_path, fresh=False) == (tmp_path, 1)
    assert _run_folder(tmp_path, fresh=True) == (tmp_path / "run-2", 2)
    assert written_run(tmp_path / "run-2") is None
    assert written_run(tmp_path) == ("out", None)
    written(tmp_path, model="out", step=5, settings={STARTED: "today"})
    assert written_run(tmp_path) == ("out", "today")
