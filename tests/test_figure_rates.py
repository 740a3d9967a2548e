"""Learning rates that a figure chooses, and figures that share rates and runs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from dataset_builders import InputError
from synthetic_training.bundled.recipe import best_rates, best_run
from synthetic_training.figures import draw, job
from synthetic_training.figures.figure_file import read_figure
from synthetic_training.figures.ledger import Ledger
from synthetic_training.figures.rates import choice_table, chosen, score, trials_figure
from synthetic_training.figures.stages import read_stages
from tests.figure_lines import a_line
from tests.tiny_figure import LSTM, a_figure
from tests.tiny_run import SETTINGS


def a_trial(lr: float, accuracies: list[float], loss: float | None = 1.0, **more: Any) -> dict[str, Any]:
    score = {"length": 5, "string_accuracy_stderr": 0.02}
    curve = [{"step": 10 * i, "string_accuracy": a, **score} for i, a in enumerate(accuracies, 1)]
    config = {"steps": 40, "eval_every": 10, "lr": lr}
    line = {"label": "lstm", "panel": None, "seed": 0, "sweep": {"lr": lr}, "final_loss": loss}
    return {**line, "curve": curve, "config": config, **more}


def test_the_rule_for_learning_rates(tmp_path: Path) -> None:
    file = a_figure(tmp_path / "f.yaml", learning_rates={"lstm": [1e-3, "1e-2"], "others": [1, 2, 3]})
    size = read_figure(file).scales["small"]
    assert size.rates_to_try("lstm") == [1e-3, 1e-2] and size.rates_to_try("T_hard_alibi") == [1, 2, 3]

    def rate(one: list[float], other: list[float], by_examples: bool, losses: Any = (1.0, 1.0)) -> float:
        lines = [a_trial(1e-3, one, losses[0]), a_trial(1e-2, other, losses[1])]
        assert chosen(lines[:1], size, by_examples) == {}
        return chosen(lines, size, by_examples)["lstm", None]

    fast, late = [0.0, 0.9, 0.9, 0.9], [0.0, 0.0, 0.5, 1.0]
    assert rate(fast, late, by_examples=True) == 1e-3
    assert rate(fast, late, by_examples=False) == 1e-2
    # a run that ended early keeps its last accuracy
    assert rate([0.0, 1.0], [0.1, 0.6, 0.9, 0.9], by_examples=True) == 1e-3
    # within .028, the standard error of the difference, the loss decides; one that is not finite is the worst
    assert rate([0.975], [1.0], False, (0.1, 0.2)) == 1e-3
    assert rate([0.97], [1.0], False, (0.1, 0.2)) == 1e-2
    # the accuracy at the end has the error of one evaluation, however many there are
    assert rate([0.0, 0.0, 0.0, 0.975], [0.0, 0.0, 0.0, 1.0], False, (0.1, 0.2)) == 1e-3
    # the error of a difference is that of the two scores, whatever the errors of others
    certain = a_trial(1e-2, [1.0], 0.2)
    certain["curve"][0]["string_accuracy_stderr"] = 0.0
    assert chosen([a_trial(1e-3, [0.975], 0.1), certain], size, False) == {("lstm", None): 1e-2}
    # of the means of four evaluations, half as much
    assert rate([0.2, 0.2, 0.2, 0.187], [0.2] * 4, True, (0.1, 0.2)) == 1e-3
    assert rate([0.19, 0.19, 0.18, 0.17], [0.2] * 4, True, (0.1, 0.2)) == 1e-2
    # if one evaluation stands for all four, they share its error
    assert rate([0.175], [0.2], True, (0.1, 0.2)) == 1e-3
    assert rate([0.0], [0.0], False, (None, 3.0)) == 1e-2
    assert rate([0.0], [0.0], False, (2.0, 3.0)) == 1e-3


def test_a_run_that_ended_early_keeps_its_last_accuracy() -> None:
    early = a_trial(1e-3, [0.0, 0.5])  # 4 evaluations were planned
    assert score(early, by_examples=True) == 1.5 / 4
    assert score(early, by_examples=False) == 0.5
    # the last step is evaluated too, after 10, 20, 30 and 40 steps
    assert score({**early, "config": {"steps": 45, "eval_every": 10}}, by_examples=True) == 2 / 5


def test_a_trial_is_longer_than_its_warm_up(tmp_path: Path) -> None:
    rates = {"others": [1e-3, 1e-2]}
    for warm_up, steps in ((13, 14), (14, 15), (30, 31)):
        settings = {**SETTINGS, "model_args": {}, "steps": 40, "warmup_steps": warm_up}
        file = a_figure(tmp_path / "f.yaml", settings=settings, learning_rates=rates)
        assert {run.config.steps for run in read_stages([str(file)], "small")[0].planned} == {steps}


def test_the_table_says_why_a_rate_was_chosen(tmp_path: Path) -> None:
    file = a_figure(tmp_path / "f.yaml", learning_rates={"others": [1e-3, 1e-2, 1e-1]}, runs={"lstm": LSTM})
    scale = read_figure(file).scales["small"]
    accuracies = {
        "few": (0.1, 0.9, 0.2),
        "less": (0.9, 0.2, 0.1),
        "more": (0.1, 0.2, 0.9),
        "most": (0.9, 0.1),
        "none": (0.0,) * 3,
    }
    tried = [
        a_trial(rate, [0.5, found], panel=panel)
        for panel, some in accuracies.items()
        for rate, found in zip((1e-3, 1e-2, 1e-1), some, strict=False)
    ]

    def rows(by_examples: bool) -> list[list[str]]:
        lines = choice_table(tried, scale, by_examples).splitlines()[2:]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    assert rows(by_examples=False)[0] == ["model", "panel", "accuracy at the end, by learning rate", "chosen"]
    assert rows(by_examples=False)[2:] == [
        ["LSTM", "few", "0.001: 0.100, 0.01: 0.900, 0.1: 0.200", "0.01"],
        ["LSTM", "less", "0.001: 0.900, 0.01: 0.200, 0.1: 0.100", "0.001, at the edge"],
        ["LSTM", "more", "0.001: 0.100, 0.01: 0.200, 0.1: 0.900", "0.1, at the edge"],
        ["LSTM", "most", "0.001: 0.900, 0.01: 0.100", "not yet"],
        ["LSTM", "none", "0.001: 0.000, 0.01: 0.000, 0.1: 0.000", "0.001, but none learned"],
    ]
    assert rows(by_examples=True)[0][2] == "mean accuracy over the evaluations, by learning rate"
    # 4 evaluations were planned, and the last one stands for those not made
    assert rows(by_examples=True)[2][2] == "0.001: 0.200, 0.01: 0.800, 0.1: 0.275"


def test_the_plot_of_trials_rings_the_chosen_rate_and_other_sweeps_ring_the_lowest_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canvases: list[Any] = []
    monkeypatch.setattr(draw, "save_plot", lambda canvas, *_, **__: canvases.append(canvas) or [])
    file = a_figure(tmp_path / "f.yaml", learning_rates={"others": [1e-3, 1e-2]}, runs={"lstm": LSTM})
    stage = read_stages([str(file)], "small")[0]
    lines = [{**a_line(), **a_trial(*one)} for one in ((1e-3, [0.9], 2.0), (1e-2, [0.5], 1.0))]
    lines = [{**one, "config": {**a_line()["config"], **one["config"]}} for one in lines]

    def ringed(results: list[dict[str, Any]], show: Any) -> tuple[list[tuple[float, float]], str]:
        show(results)
        (axes,) = canvases[-1].axes
        rings = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
        return [(ring.get_xdata()[0], ring.get_ydata()[0]) for ring in rings], axes.get_ylabel()

    def show_trials(results: list[dict[str, Any]]) -> None:
        stage.show(results, tmp_path)

    assert ringed(lines, show_trials) == (
        [(1e-3, 2.0)],
        "final training loss\n(ringed: chosen learning rate)",
    )
    assert ringed(lines[:1], show_trials)[0] == []  # not all rates were tried

    def show_sweep(results: list[dict[str, Any]]) -> None:
        draw.draw(trials_figure(stage.figure), results, tmp_path, "sweep")

    assert ringed(lines, show_sweep) == ([(1e-2, 1.0)], "final training loss (ringed: lowest)")


def test_trials_of_a_run_that_the_file_no_longer_contains_are_left_out(tmp_path: Path) -> None:
    file = a_figure(tmp_path / "f.yaml", learning_rates={"lstm": [1e-3, 1e-2]}, runs={"lstm": LSTM})
    scale = read_figure(file).scales["small"]
    tried = [a_trial(rate, [0.5]) for rate in (1e-3, 1e-2)]
    removed = [{**one, "label": "mamba"} for one in tried]
    assert chosen(tried + removed, scale, by_examples=True) == chosen(tried, scale, by_examples=True)
    assert choice_table(tried + removed, scale, True) == choice_table(tried, scale, True)


def test_a_run_that_diverged_is_never_the_best_one() -> None:
    diverged, trained = a_trial(1e-3, [0.5], None), a_trial(1e-2, [0.5], 2.0)
    assert best_rates([diverged, trained]) == best_rates([trained, diverged]) == {"lstm": 1e-2}
    test = {"tests": [{"lengths": {"5": {"string_accuracy": 0.5}}}]}
    runs = [{**diverged, **test}, {**trained, **test}]
    assert best_run(runs) == best_run(runs[::-1]) == runs[1]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"learning_rates": {"lstm": [1e-3, 1e-2]}}, "learning_rates lack T_hard_alibi; add it, or others"),
        ({"learning_rates": {"lstn": [1, 2], "others": [1, 2]}}, "learning_rates of 'lstn': there is no"),
        ({"learning_rates": {"others": [1e-3]}}, "learning_rates.others"),
        ({"learning_rates": {"others": [1, 2]}, "rates_of": "efficiency"}, "combined with rates_of"),
        ({"learning_rates": {"others": [1, 2]}, "sweep": {"lr": [1]}}, "sweep over lr cannot be combined"),
        (
            {"learning_rates": {"others": [1, 2]}, "sweep": {"steps": [10, 20]}},
            "learning_rates cannot be combined with a sweep over steps, because one rate is chosen for all",
        ),
        ({"rates_of": "efficency"}, "there is no figure 'efficency'"),
        ({"rates_of": "mqar"}, "rates_of = 'mqar', which tries no learning rates"),
        ({"runs_of": "one"}, "runs_of = 'one' must be one of "),
        ({"runs_of": "duplicates", "runs": None}, "duplicates defines no runs at the scale small"),
        ({"runs_of": ["efficiency_50"]}, "runs_of = ['efficiency_50'] must be one of "),
        ({"runs_of": "ngram_lookup", "runs": ["lstn"]}, "ngram_lookup has no run 'lstn'; it has mamba, "),
        ({"runs_of": "ngram_lookup", "runs": [{"lstm": {"steps": 9}}]}, "has no run {'lstm': {'steps': 9}}"),
        ({"runs_of": "ngram_lookup", "runs": 3}, "runs must list labels of ngram_lookup, not 3"),
    ],
)
def test_slips_in_learning_rates_and_shared_runs_are_named(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    file = a_figure(tmp_path / "f.yaml", **changes)
    content = yaml.safe_load(file.read_text())
    small = content["scales"]["small"]
    content["scales"]["small"] = {key: value for key, value in small.items() if value is not None}
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(InputError) as caught:
        read_stages([str(file)], "small")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_figures_that_share_runs_and_rates_have_the_stages_they_need(tmp_path: Path) -> None:
    stages = read_stages(["duplicates", "length_generalization", "efficiency_100", "efficiency_50"], "paper")
    assert [stage.stem for stage in stages] == [
        "length_generalization_rates_paper",
        "duplicates_paper",
        "length_generalization_paper",
        "efficiency_50_rates_paper",
        "efficiency_100_paper",
        "efficiency_50_paper",
    ]
    rates, duplicates, lengths = stages[:3]
    assert {run.name for run in duplicates.planned} == {run.name for run in lengths.planned}
    assert all(run.config.steps == 2667 and run.config.stop_accuracy is None for run in rates.planned)
    assert len(rates.planned) == 4 * len(lengths.scale.runs) and {run.seed for run in rates.planned} == {0}
    ledger = Ledger(stages, tmp_path)
    assert {work.stages[0].stem for work in ledger.work()} == {rates.stem, "efficiency_50_rates_paper"}
    assert len(ledger.waiting()) == sum(len(s.planned) for s in stages if not s.of_trials)
    (only,) = {run.label for run in read_stages(["duplicates"], "paper", models=["lstm"])[0].planned}
    assert only == "lstm"
    with pytest.raises(InputError, match=r"these figures has no run 'lstn'; .*did you mean 'lstm'"):
        read_stages(["duplicates", "efficiency_50"], "paper", models=["lstn"])


def test_a_trial_whose_loss_is_not_finite_has_a_result(tmp_path: Path) -> None:
    config = {**SETTINGS, **LSTM, "lr": 1e30, "device": "cpu", "log_every": 1}
    step = job.train_or_resume(config, tmp_path / "run", may_diverge=True)
    assert step is not None
    result = job.trained(tmp_path / "run", step)
    assert result["final_loss"] is None and result["curve"][-1]["string_accuracy"] == 0.0
    assert result["curve"][-1]["step"] == step and result["tokens"] == result["curve"][-1]["tokens"]
    with pytest.raises(InputError, match="not finite at or before step"):
        job.train_or_resume(config, tmp_path / "other", may_diverge=False)
