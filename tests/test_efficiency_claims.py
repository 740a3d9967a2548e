"""Sentences about training examples that would become wrong with other results."""

from itertools import groupby
from math import exp, hypot, log
from statistics import mean

import pytest
from scipy.stats import ttest_ind

from synthetic_training.figures.examples_by_length import Needed, factor, needed
from synthetic_training.figures.figure_file import read_figure, shipped
from synthetic_training.figures.plan import Result, plan
from synthetic_training.figures.rates import score
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import (
    examples_until,
    learning_curve,
)
from synthetic_training.training.run_log import read_lines
from tests.sentences import FIGURES, check, of


def test_the_examples_at_50_letters_are_those_in_the_text() -> None:
    def around(label: str) -> tuple[list[int], list[int]]:
        """Examples at the evaluations before and after half of the strings are correct."""
        before, after = [], []
        for one in of("length_generalization_paper", label):
            curve = learning_curve(one)
            at = next(i for i, point in enumerate(curve) if point["string_accuracy"] >= 0.5)
            before.append(curve[at - 1]["examples"] if at else 0)
            after.append(curve[at]["examples"])
        return before, after

    def thousands(examples: list[int]) -> str:
        """Examples that differ by the lengths of strings only are from the same evaluation."""
        same = groupby(sorted(examples), lambda one: round(one, -4))
        return " or ".join(f"{mean(some) / 1000:.0f} thousand" for _, some in same)

    (mamba_least, mamba), (rope_least, rope), (_, hard) = map(around, ("mamba", "T_rope", "T_hard_alibi"))
    found = f"after {thousands(mamba)} examples for Mamba, after {thousands(rope)} for RoPE,"
    check("mamba_weights.md", f"{found} and at the first evaluation, after {thousands(hard)}, for Hard-ALiBi")
    assert min(mamba_least) >= 1.99 * max(hard) and max(mamba) <= 4.01 * min(rope_least)
    nope, lstm = (min(around(label)[0]) for label in ("T_nope", "lstm"))
    check("mamba_weights.md", f"at least {thousands([nope])} and {thousands([lstm])} (runs).")
    assert min(nope, lstm) >= max(mamba)


def test_the_budgets_of_examples_are_those_in_the_text() -> None:
    def budget(stem: str, label: str, results: list[Result]) -> float:
        """Steps of the figure's runs, relative to those after which RoPE copies half of the strings."""
        runs = plan(read_figure(shipped()[stem]).scales["paper"], stem)
        (steps,) = {run.config.steps for run in runs if run.label == label}
        until = [examples_until(one, 0.5) / learning_curve(one)[-1]["examples"] for one in results]
        return steps / mean(part * one["config"]["steps"] for part, one in zip(until, results, strict=True))

    trial = [one for one in of("efficiency_50_rates_paper", "T_rope") if one["config"]["lr"] == 3e-4]
    check("README.md", "Mamba trains on about forty times the examples that RoPE's trial of learning rates")
    assert 40 < budget("efficiency_50", "mamba", trial) < 45
    assert budget("efficiency_50", "mamba_authors", trial) == budget("efficiency_50", "mamba", trial)
    check("README.md", "the LSTM on about thirty times. At 300 letters, both train on eighteen times the")
    assert 30 < budget("efficiency_50", "lstm", trial) < 35
    earlier = of("efficiency_paper", "T_rope")
    for label in ("mamba", "mamba_authors", "lstm"):
        assert budget("efficiency_300", label, earlier) == pytest.approx(18, abs=0.5)


def test_the_rule_chose_ropes_learning_rate_narrowly() -> None:
    check("runs.md", "the two would be tied, and the rule would choose 1e-4.")
    trials = {one["sweep"]["lr"]: one for one in of("efficiency_50_rates_paper", "T_rope")}
    slow, fast = trials[1e-4], trials[3e-4]
    difference = score(fast, by_examples=True) - score(slow, by_examples=True)
    correlated = [
        mean(point["string_accuracy_stderr"] for point in learning_curve(one)) for one in (slow, fast)
    ]
    assert 0 < difference < hypot(*correlated) and slow["final_loss"] < fast["final_loss"]


def test_what_the_first_runs_at_50_letters_found() -> None:
    done = read_results(FIGURES / "results/efficiency_50_paper.jsonl")
    planned = plan(read_figure(shipped()["efficiency_50"]).scales["paper"], "efficiency_50")
    check("README.md", f"only {len(done)} of the {len(planned)} runs of `efficiency_50` are done")
    found = needed(done, 0.5)
    rope, authors, lstm = (found[label][50] for label in ("T_rope", "mamba_authors", "lstm"))
    ((reached,), (missed,)) = authors.reached, authors.trained
    check(
        "README.md", f"half of the strings on one of two seeds, after {reached:,.0f} examples. The other seed"
    )
    check("README.md", f"did not within {missed:,}. RoPE needs {rope.interval[0]:,.0f}.")
    logs = [[log(n) for n in some] for some in ((reached, missed), rope.reached)]
    ends = ttest_ind(*logs, equal_var=False).confidence_interval()
    low, middle, high = (exp(n) for n in (ends.low, mean(logs[0]) - mean(logs[1]), ends.high))
    check("README.md", f"would be {middle:.1f} (95% interval {low:.1f} to {high:.0f}): two seeds")
    trial = {one["sweep"]["lr"]: one for one in of("efficiency_50_rates_paper", "T_rope")}
    other = examples_until(trial[1e-4], 0.5)
    check(
        "README.md", f"At 1e-4 instead of 3e-4, its trial needed {other:,.0f} examples, which would make the"
    )
    assert rope.interval[0] / other == pytest.approx(3 / 4, abs=0.01)
    check(
        "README.md", "The LSTM** learned half of the strings on both seeds that are done, and on a third that"
    )
    assert lstm.by_all and lstm.seeds == 2 and "mamba" not in found
    ratio = factor(lstm, rope)
    assert ratio is not None
    times = f"{ratio.value:.1f} times RoPE's examples ({ratio.low:.1f} to {ratio.high:.1f};"
    check("README.md", f"It needed {times} two and three seeds).")
    check(
        "README.md",
        "three seeds of RoPE, ALiBi and Hard-ALiBi, two of Mamba with its authors' weights and of",
    )
    assert [found[one][50].seeds for one in ("T_rope", "T_alibi", "T_hard_alibi")] == [3, 3, 3]
    assert authors.seeds == 2
    unfinished = read_lines(FIGURES / "results/unfinished_runs.jsonl")
    others = [one for one in unfinished if one["figure"] == "efficiency_50"]
    nope, third = ([one for one in others if one["label"] == label] for label in ("T_nope", "lstm"))
    first = next(one["examples"] for one in nope if one["string_accuracy"] >= 0.5)
    check("README.md", f"for the first time after {first:,} examples, in a run that was cut off after")
    check("README.md", f"was cut off after {nope[-1]['examples']:,} (evaluations): later than each")
    assert examples_until({"curve": third}, 0.5) is not None and {one["seed"] for one in third} == {2}
    cut = [one for one in others if one["label"] == "mamba"]
    runs = [[one for one in cut if one["seed"] == seed] for seed in (0, 1, 2)]
    until = sorted(one for run in runs if (one := examples_until({"curve": run}, 0.5)) is not None)
    assert len(until) == 3
    few, more, most = (f"{one:,.0f}" for one in until)
    check("README.md", f"half of the strings, after {few}, {more} and {most} examples")
    ratio = factor(Needed(tuple(until), (), 0.0), rope)
    assert ratio is not None and not ratio.is_bound
    interval = f"{ratio.low:.1f} to {ratio.high:.1f}"
    check("README.md", f"mean is {ratio.value:.1f} times RoPE's (95% interval {interval}).")
    assert first > max(until)
    check("mamba_weights.md", f"the factor to RoPE was {ratio.value:.1f} ({interval}).")


def test_mamba_stayed_at_chance_at_300_letters_at_three_learning_rates() -> None:
    (longest,) = of("efficiency_300_paper", "mamba")
    (fastest,) = of("efficiency_paper", "mamba")
    unfinished = read_lines(FIGURES / "results/unfinished_runs.jsonl")
    cut = [one for one in unfinished if one["figure"] == "efficiency_300" and one["label"] == "mamba"]
    assert (longest["config"]["lr"], {one["lr"] for one in cut}, fastest["config"]["lr"]) == (
        2e-4,
        {1e-4},
        3e-4,
    )
    ends = [longest["curve"][-1]["examples"], cut[-1]["examples"], fastest["curve"][-1]["examples"]]
    check(
        "README.md",
        "2e-4 for {:,} examples, 1e-4 until the run was cut off after {:,}, and 3e-4 for".format(*ends),
    )
    check("README.md", f"and 3e-4 for {ends[2]:,} (at which only strings of 300 letters were evaluated)")
    assert {one["length"] for one in fastest["curve"]} == {300}
    points = [*longest["curve"], *cut, *fastest["curve"]]
    assert max(one["string_accuracy"] for one in points) == 0
    assert all(one["letter_accuracy"] < 0.055 for one in points)
    of_50 = [one["letter_accuracy"] for one in longest["curve"] if one["length"] == 50]
    check("README.md", "even of strings of 50 letters it copied no more letters than chance")
    assert mean(of_50) == pytest.approx(1 / 26, abs=0.002)
