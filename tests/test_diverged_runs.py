"""Runs of a figure whose loss did not stay finite."""

from pathlib import Path
from typing import Any

import pytest

from synthetic_training.config import TrainConfig
from synthetic_training.figures import job
from synthetic_training.figures.draw import draw
from synthetic_training.figures.summary import by_swept, final_loss
from synthetic_training.figures.tables import report
from synthetic_training.training.loop import NotFiniteError
from synthetic_training.training.run import train
from tests.figure_lines import rows_of
from tests.test_figure_results import a_figure, plain, rated
from tests.tiny_run import tiny


def test_a_learning_rate_at_which_one_of_two_seeds_diverged_is_not_the_best(tmp_path: Path) -> None:
    lines = [rated(1e-3, 0.2), rated(1e-3, 0.4, 1), rated(1e-2, 0.1), rated(1e-2, None, 1)]
    lines += [rated(1e-1, None), rated(1e-1, None, 1)]
    assert plain(by_swept(lines, "lr", final_loss)) == [(1e-3, 0.3, 0.2, 0.4)]
    losses = rows_of(report(a_figure("lr"), lines))[2]
    assert losses == ["mamba", "0.3000 ± 0.1414", "1 of 2 diverged", "2 of 2 diverged", "0.001"]
    assert len(draw(a_figure("lr"), lines, tmp_path, "some")) == 2
    assert rows_of(report(a_figure("lr"), lines[-2:]))[2] == ["mamba", "2 of 2 diverged", ""]
    assert len(draw(a_figure("lr"), lines[-2:], tmp_path, "none")) == 2


@pytest.mark.parametrize(
    "task",
    [
        {"task": "mqar", "vocabulary": 16, "pairs": 3},
        {"task": "documents", "context_length": 256, "pool_rows": 4, "mix": {"copy_random": 1}},
    ],
)
def test_a_run_that_diverged_has_one_evaluated_length(task: dict[str, Any], tmp_path: Path) -> None:
    """The accuracy of 0 that is recorded at the end has the same length as the evaluations before it."""
    settings = {"lr": 1e30, "grad_clip": None, "warmup_steps": 0, "eval_every": 1, "log_every": 1}
    config: TrainConfig = tiny(**task, **settings, eval_lengths=[], steps=20, model="lstm", model_args={
        "hidden_size": 16, "num_hidden_layers": 1}, schedule="linear_from_zero")  # fmt: skip
    with pytest.raises(NotFiniteError) as stop:
        train(config, tmp_path / "run")
    curve = job.trained(tmp_path / "run", diverged=stop.value.step)["curve"]
    assert len(curve) > 1 and len({point["length"] for point in curve}) == 1
