"""How long runs are expected to take, from results and speeds of the test's own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synthetic_training.config import DOCUMENTS
from synthetic_training.figures import estimate
from synthetic_training.figures.estimate import (
    ASSUMED,
    SPEEDUP,
    Expectations,
    Expected,
    expected_cpu_hours,
    expected_gpu_hours,
)
from synthetic_training.figures.plan import Run
from synthetic_training.models.sizes import preset_arguments
from tests.tiny_figure import a_figure, runs_of

RUN_TOKENS = 30 * 4 * 32
START = 40.0
"""Seconds of a run besides its training steps."""


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = runs_of(a_figure(tmp_path / "one.yaml"))[0]
    assert run.label == "T_hard_alibi"
    return changed(run, device="auto", model="my.module:Model")


def changed(run: Run, **settings: Any) -> Run:
    return replace(run, config=replace(run.config, **settings))


def result(run: Run, seconds: float = 100.0, speed: float = 1.0, **more: Any) -> dict[str, Any]:
    """A result of the run on a GPU."""
    config = {"device": "cuda", **more.pop("config", {})}
    return {
        "config": {**run.config.as_json(), **config},
        "seconds": seconds,
        "tokens_per_second": speed,
        "run": run.name,
        **more,
    }


def test_a_run_takes_as_long_as_runs_with_the_same_settings(run: Run) -> None:
    again = {"seed": 7, "lr": 0.5, "save_every": 7, "precision": "fp32"}
    results = [result(run, 100.0), result(run, 200.0, config=again), result(run, 9.0, config={"steps": 90})]
    assert Expectations(results).of(run) == Expected(150.0, "the same run")
    cut = {"run": run.name, "seconds": 60.0, "step": 10, "steps": 30}
    assert Expectations(results, [cut]).of(run) == Expected(180.0, "the same run")
    assert Expectations(results, [{**cut, "seconds": 20.0}]).of(run) == Expected(150.0, "the same run")
    assert Expectations([], [cut]).of(run) == Expected(180.0, "the same run")
    assert Expectations([], [{**cut, "step": 0}]).of(run).basis == "assumed"
    # compiled or not matters, not how it was asked for
    long = changed(run, steps=1000)
    results = [result(long, 30.0, config={"compile": "on"}), result(long, 70.0, config={"compile": "off"})]
    assert Expectations(results).of(long) == Expected(30.0, "the same run")


def test_a_run_whose_sizes_are_from_a_preset_takes_as_long_as_one_that_has_begun(run: Run) -> None:
    """A run that has begun contains the sizes of the preset too."""
    given = {"initializer_range": 0.03, "intermediate_size": 288}
    planned = changed(run, model="hf:jamba", preset="small", model_args=given)
    begun = changed(planned, model_args=preset_arguments("small", "hf:jamba", given))
    assert "hidden_size" in begun.config.model_args
    found = Expectations([result(begun, 70.0, speed=RUN_TOKENS / 10)])
    assert found.of(planned) == Expected(70.0, "the same run")
    assert found.of(changed(planned, steps=60)) == Expected(20.0 + START, "its speed")
    other = changed(planned, model_args={**given, "hidden_size": 64})
    assert found.of(other).basis == "assumed"


def test_times_are_those_on_one_gpu_that_is_not_shared(run: Run) -> None:
    assert Expectations([result(run, 100.0, runs_per_gpu=2.0)]).of(run).seconds == 50.0
    for gpus in (2, 4, 8):
        assert Expectations([result(run, 100.0, gpus=gpus)]).of(run).seconds == 100 * SPEEDUP[gpus]


def test_runs_that_diverged_are_not_used(run: Run) -> None:
    diverged = result(run, 0.0, speed=0.0, final_loss=None)
    assert Expectations([diverged]).of(run).basis == "assumed"
    assert Expectations([diverged, result(run, 80.0)]).of(run) == Expected(80.0, "the same run")
    assert Expectations([diverged]).of(changed(run, steps=60)).basis == "assumed"


def test_a_run_on_a_cpu_says_nothing_about_one_on_a_gpu(run: Run) -> None:
    on_cpu = result(run, 50.0, config={"device": "cpu"})
    assert Expectations([on_cpu]).of(run).basis == "assumed"
    assert Expectations([on_cpu, result(run, 100.0)]).on_cpu(run) == 50.0
    assert Expectations([result(run, 100.0)]).on_cpu(run) is None


def test_other_runs_take_as_long_as_their_model_is_fast(run: Run) -> None:
    other = changed(run, steps=60, model_args={"hidden_size": 64})
    speeds = [
        result(other, speed=100.0), result(other, speed=300.0), result(other, speed=800.0),
        result(other, speed=9.0, runs_per_gpu=1.5), result(other, speed=9.0, gpus=2),
        result(other, speed=9.0, config={"device": "cpu"}),
        result(other, speed=9.0, config={"task": DOCUMENTS}),
    ]  # fmt: skip
    assert Expectations([]).of(run) == Expected(RUN_TOKENS / ASSUMED + START, "assumed")
    assert Expectations(speeds[3:]).of(run).basis == "assumed"
    longer = changed(other, steps=90)
    assert Expectations(speeds).of(longer) == Expected(3 * RUN_TOKENS / 300 + START, "its speed")
    # of the same model at other sizes, if the run does not name its own
    assert Expectations(speeds).of(changed(run, model_args={})) == Expected(
        RUN_TOKENS / 300 + START, "its speed"
    )
    wide = changed(run, model_args={"hidden_size": 4096})
    assert Expectations(speeds).of(wide).basis == "assumed"


def test_hours_are_summed_over_runs_with_an_estimate(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    done = [result(run, 3600.0), result(run, 7200.0, config={"device": "cpu"})]
    monkeypatch.setattr(estimate, "committed_results", lambda: done)
    unknown = changed(run, model="another.module:Model")
    assert expected_gpu_hours([run, changed(run, seed=8), unknown]) == (2.0, 2)
    assert expected_gpu_hours([changed(run, device="cpu")]) == (0.0, 0)
    assert expected_cpu_hours([run, changed(run, device="cpu"), unknown, changed(run, device="cuda")]) == (
        4.0,
        2,
    )
