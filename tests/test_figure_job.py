"""The result of one run of a figure."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.files import read_json, write_json
from synthetic_training.figures import job
from synthetic_training.figures.figure_file import Test
from synthetic_training.training.run_folder import METRICS, RUN
from tests.tiny_figure import LSTM
from tests.tiny_run import SETTINGS, tiny

HEAD = {"parameters": 9, "git_revision": "a", "versions": {"torch": "2"}, "machine": "m"}
SCORE = {"string_accuracy": 0.5, "string_accuracy_stderr": 0.1, "letter_accuracy": 0.75}
ZERO = dict.fromkeys(SCORE, 0.0)


def a_run(folder: Path, evaluated: tuple[int, ...] = (20, 30), **settings: Any) -> Path:
    """The files of a run of 30 steps of 4 rows of 32 tokens, with a record of every 10 steps."""
    config = {**SETTINGS, **settings}
    lines: list[dict[str, Any]] = []
    for step, speed in ((10, 1.0), (20, 5.0), (30, 7.0)):
        where = {"step": step, "examples": 3 * step, "seconds": step / 4}
        lines.append({"kind": "train", **where, "tokens_per_second": speed, "loss": 9 / step})
        if step in evaluated:
            more = {"kind": "eval", **where, **SCORE, "seconds": 1 + step / 4}
            lines += [{**more, "length": length} for length in (2, 5)]
    folder.mkdir()
    write_json(folder / RUN, {"config": config, **HEAD})
    (folder / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_result_of_a_run_is_that_of_its_files(tmp_path: Path) -> None:
    points = [
        {"step": step, "examples": 3 * step, "tokens": step * 4 * 32, "length": length, **SCORE}
        for step in (20, 30)
        for length in (2, 5)
    ]
    assert job.trained(a_run(tmp_path / "run")) == {
        "config": SETTINGS, **HEAD, "seconds": 8.5, "tokens": 30 * 4 * 32, "curve": points,
        "tokens_per_second": 6.0,  # the first record includes compilation
        "final_loss": 0.3,
    }  # fmt: skip


def test_a_run_that_diverged_ends_with_an_accuracy_of_0(tmp_path: Path) -> None:
    result = job.trained(a_run(tmp_path / "run", eval_lengths=[2, 6]), diverged=35)
    last = {"step": 35, "examples": 90, "tokens": 35 * 4 * 32, "length": 6, **ZERO}
    assert result["curve"][-1] == last and len(result["curve"]) == 5
    assert result["final_loss"] is None and result["tokens"] == 35 * 4 * 32
    default = job.trained(a_run(tmp_path / "default", (), eval_lengths=[], max_length=7), diverged=3)
    assert [point["length"] for point in default["curve"]] == [7]
    (tmp_path / "run" / METRICS).write_text("")
    result = job.trained(tmp_path / "run", diverged=1)
    assert [point["examples"] for point in result["curve"]] == [0]
    assert result["seconds"] == result["tokens_per_second"] == 0.0


def test_keys_are_counted_in_the_strings_that_are_tested(tmp_path: Path) -> None:
    config = tiny(lr=1e-2, steps=60).as_json()
    job.train_or_resume(config, tmp_path / "run", may_diverge=False)
    assert not (tmp_path / "run" / "checkpoints").exists()
    test = Test(task="copy", lengths=(1, 3), num_examples=40, batch_size=16, keys=True)
    scores = job._test(tmp_path / "run", asdict(test), config)
    assert [(score["length"], score["num_examples"]) for score in scores] == [(1, 40), (3, 40)]
    for score in scores:
        wrong = sum(count for count, *_ in score["keys"]["wrong"])
        assert wrong == round(40 * (1 - score["string_accuracy"])) > 0
    assert job._test(tmp_path / "run", {**asdict(test), "keys": False}, config) == [
        {key: value for key, value in score.items() if key != "keys"} for score in scores
    ]


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The result of a job with these settings and tests."""
    monkeypatch.setattr(job, "end_with_parent", lambda: None)

    def run(tests: list[dict[str, Any]], **settings: Any) -> dict[str, Any]:
        file = tmp_path / "result.json"
        content = {"config": tiny(**settings).as_json(), "folder": str(tmp_path / "run"), "result": str(file)}
        content |= {"tests": {"one_small": tests}, "revision": "abc"}
        monkeypatch.setattr(sys, "argv", ["job", json.dumps(content)])
        job.main()
        return read_json(file)

    return run


def test_a_model_of_your_own_is_trained_and_tested(done: Any) -> None:
    test = asdict(Test(task="duplicate_ngram", n=2, lengths=(6,), num_examples=8))
    result = done([test], model="tests.gated_linear_attention:GatedLinearAttention", model_args={}, steps=8)
    (score,) = result["tests"]["one_small"]
    assert (score["task"], score["n"], score["length"], score["num_examples"]) == ("duplicate_ngram", 2, 6, 8)
    assert result["git_revision"] == "abc" and result["final_loss"] > 0


def test_only_a_run_without_tests_may_diverge(done: Any, tmp_path: Path) -> None:
    diverging: dict[str, Any] = {**LSTM, "lr": 1e30, "log_every": 1}
    with pytest.raises(InputError, match="not finite at or before step"):
        done([asdict(Test(lengths=(6,)))], **diverging)
    assert not (tmp_path / "result.json").exists()
    result = done([], **diverging)
    assert result["final_loss"] is None and result["tests"] == {"one_small": []}
