"""Tables and plots of accuracy by training step, for checkpoints of one training run."""

import itertools
from pathlib import Path

import pytest

from lm_eval_tasks.results.learning_curve import learning_curve_table, learning_curves
from lm_eval_tasks.results.plots import draw_learning_curves
from lm_eval_tasks.results.rows import by_benchmark, read_scores, row_labels
from tests.result_files import result_file
from tests.test_report import cells


def checkpoints(folder: Path) -> None:
    for step, value in ((1000, 0.2), (20000, 0.8), (3000, 0.4)):
        arguments = {"pretrained": "org/model", "revision": f"step{step}"}
        result_file(folder, {"phone_book_20": value, "phone_book_40": value / 2}, model_args=arguments)


def test_checkpoints_are_shown_by_training_step(tmp_path: Path) -> None:
    checkpoints(tmp_path)
    result_file(tmp_path, {"phone_book_20": 0.5}, model="org/other")
    (own,) = by_benchmark(read_scores([tmp_path])).values()
    assert row_labels(own) == ["model@step1000", "model@step3000", "model@step20000", "other"]
    (curve,) = learning_curves(own)
    assert curve.name == "model"
    text = learning_curve_table(curve)
    assert text.startswith("model: exact_match by training step")
    assert [row[:1] + [cell[:5] for cell in row[1:]] for row in cells(text)[1:]] == [
        ["1000", "0.200", "0.100"],
        ["3000", "0.400", "0.200"],
        ["20000", "0.800", "0.400"],
    ]
    files = draw_learning_curves("phone_book", [curve], tmp_path)
    assert [file.name for file in files] == ["phone_book_by_step.png", "phone_book_by_step.svg"]
    drawing = files[1].read_text()
    for text in ("training step, logarithmic", "20 entries", "40 entries", "phone_book: model", "1k", "20k"):
        assert f"<!-- {text}" in drawing, text


def test_a_length_at_which_a_checkpoint_was_not_evaluated_is_an_empty_cell(tmp_path: Path) -> None:
    for step, tasks in ((10, ("phone_book_20", "phone_book_40")), (20, ("phone_book_40",))):
        arguments = {"pretrained": "org/model", "revision": f"step{step}"}
        result_file(tmp_path, dict.fromkeys(tasks, 0.5), model_args=arguments)
    (curve,) = learning_curves(read_scores([tmp_path]))
    assert [(row[0], bool(row[1]), bool(row[2])) for row in cells(learning_curve_table(curve))[1:]] == [
        ("10", True, True),
        ("20", False, True),
    ]


def test_checkpoints_that_differ_otherwise_are_no_sweep(tmp_path: Path) -> None:
    for step, dtype in ((1000, "float32"), (2000, "bfloat16")):
        arguments = {"pretrained": "org/model", "revision": f"step{step}", "dtype": dtype}
        result_file(tmp_path, {"phone_book_20": 0.5}, model_args=arguments)
    assert learning_curves(read_scores([tmp_path])) == []


def test_checkpoints_in_folders_are_a_sweep_and_named_after_their_run(tmp_path: Path) -> None:
    for run in ("a", "b"):
        for step in (100, 200):
            result_file(tmp_path, {"phone_book_20": 0.5}, model=f"/x/{run}/checkpoints/step_{step}")
    scores = read_scores([tmp_path])
    assert row_labels(scores)[0] == "a/checkpoints/step_100"
    assert [curve.name for curve in learning_curves(scores)] == ["a/checkpoints", "b/checkpoints"]


@pytest.mark.parametrize("model", ["x/model-iter{run}/checkpoint-{step}", "x/model-iter{run}"])
def test_runs_with_a_step_in_their_names_are_sweeps_of_their_own(tmp_path: Path, model: str) -> None:
    for number, (run, step) in enumerate(itertools.product((1, 2), (500, 1000))):
        name = model.format(run=run, step=step)
        revision = {} if "{step}" in model else {"revision": f"step{step}"}
        arguments = {"pretrained": name, **revision}
        result_file(tmp_path, {"phone_book_20": number / 4}, model=name, model_args=arguments)
    found = {
        curve.name: {step: of_step[20].main_value for step, of_step in curve.steps.items()}
        for curve in learning_curves(read_scores([tmp_path]))
    }
    assert found == {"model-iter1": {500: 0.0, 1000: 0.25}, "model-iter2": {500: 0.5, 1000: 0.75}}
