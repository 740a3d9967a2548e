"""Sentences about training examples that would become wrong with other results."""

from itertools import groupby
from math import exp, hypot, log
from statistics import mean

import pytest
from scipy.stats import linregress, t, ttest_ind

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
from tests.sentences import FIGURES, check, of, short

PAGE = "efficiency.md"


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
    check(PAGE, "Mamba trains on about forty times the examples that RoPE's trial of learning rates")
    assert 40 < budget("efficiency_50", "mamba", trial) < 45
    assert budget("efficiency_50", "mamba_authors", trial) == budget("efficiency_50", "mamba", trial)
    check(PAGE, "and the LSTM on about thirty times.")
    check(PAGE, "Mamba and the LSTM train on eighteen times the examples that RoPE needed in `efficiency`.")
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
    check(PAGE, f"only {len(done)} of the {len(planned)} runs of `efficiency_50` are done")
    found = needed(done, 0.5)
    rope, authors, lstm = (found[label][50] for label in ("T_rope", "mamba_authors", "lstm"))
    ((reached,), (missed,)) = authors.reached, authors.trained
    check(
        PAGE,
        f"half of the strings on one of two seeds, after {reached:,.0f} examples. The other seed",
    )
    check(PAGE, f"did not within {missed:,}. RoPE needs {rope.interval[0]:,.0f}.")
    logs = [[log(n) for n in some] for some in ((reached, missed), rope.reached)]
    ends = ttest_ind(*logs, equal_var=False).confidence_interval()
    low, middle, high = (exp(n) for n in (ends.low, mean(logs[0]) - mean(logs[1]), ends.high))
    check(PAGE, f"would be {middle:.1f} (95% interval {low:.1f} to {high:.0f}): two seeds")
    trial = {one["sweep"]["lr"]: one for one in of("efficiency_50_rates_paper", "T_rope")}
    other = examples_until(trial[1e-4], 0.5)
    check(
        PAGE,
        f"At 1e-4 instead of 3e-4, its trial needed {other:,.0f} examples, which would make the",
    )
    assert other is not None and rope.interval[0] / other == pytest.approx(3 / 4, abs=0.01)
    check(
        PAGE,
        "The LSTM** learned half of the strings on both seeds that are done, and on a third that",
    )
    assert lstm.by_all and lstm.seeds == 2 and "mamba" not in found
    ratio = factor(lstm, rope)
    assert ratio is not None
    times = f"{ratio.value:.1f} times RoPE's examples ({ratio.low:.1f} to {ratio.high:.1f};"
    check(PAGE, f"It needed {times} two and three seeds).")
    check(
        PAGE,
        "three seeds of RoPE, ALiBi and Hard-ALiBi, two of Mamba with its authors' weights and of",
    )
    assert [found[one][50].seeds for one in ("T_rope", "T_alibi", "T_hard_alibi")] == [3, 3, 3]
    assert authors.seeds == 2
    unfinished = read_lines(FIGURES / "results/unfinished_runs.jsonl")
    others = [one for one in unfinished if one["figure"] == "efficiency_50"]
    nope, third = ([one for one in others if one["label"] == label] for label in ("T_nope", "lstm"))
    first = next(one["examples"] for one in nope if one["string_accuracy"] >= 0.5)
    check(PAGE, f"for the first time after {first:,} examples, in a run that was cut off after")
    check(PAGE, f"was cut off after {nope[-1]['examples']:,} (evaluations): later than each")
    assert examples_until({"curve": third}, 0.5) is not None and {one["seed"] for one in third} == {2}
    cut = [one for one in others if one["label"] == "mamba"]
    runs = [[one for one in cut if one["seed"] == seed] for seed in (0, 1, 2)]
    until = sorted(one for run in runs if (one := examples_until({"curve": run}, 0.5)) is not None)
    assert len(until) == 3
    few, more, most = (f"{one:,.0f}" for one in until)
    check(PAGE, f"half of the strings, after {few}, {more} and {most} examples")
    ratio = factor(Needed(tuple(until), (), 0.0), rope)
    assert ratio is not None and not ratio.is_bound
    interval = f"{ratio.low:.1f} to {ratio.high:.1f}"
    check(PAGE, f"mean is {ratio.value:.1f} times RoPE's (95% interval {interval}).")
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
        PAGE,
        f"2e-4 for {ends[0]:,} examples, 1e-4, in a copy of the figure's file, until the run was cut off",
    )
    check(PAGE, f"cut off after {ends[1]:,}, and 3e-4 for")
    check(PAGE, f"and 3e-4 for {ends[2]:,} (at which only strings of 300 letters were evaluated)")
    assert {one["length"] for one in fastest["curve"]} == {300}
    points = [*longest["curve"], *cut, *fastest["curve"]]
    assert max(one["string_accuracy"] for one in points) == 0
    assert all(one["letter_accuracy"] < 0.055 for one in points)
    of_50 = [one["letter_accuracy"] for one in longest["curve"] if one["length"] == 50]
    check(PAGE, "even of strings of 50 letters it copied no more letters than chance")
    assert mean(of_50) == pytest.approx(1 / 26, abs=0.002)


def test_what_small_models_need_by_length_is_that_in_the_text() -> None:
    files = [FIGURES / f"results/efficiency_{length}_small.jsonl" for length in (8, 12, 16, 24)]
    found = needed([one for file in files for one in read_results(file)], 0.5)
    assert all(one.by_all for own in found.values() for one in own.values())
    ratios = {length: factor(one, found["T_rope"][length]) for length, one in found["mamba"].items()}
    values = {length: f"{one.value:.1f}" for length, one in ratios.items() if one is not None}
    assert values[8] == "1.0" and sorted({values[length] for length in (12, 16, 24)}) == ["1.7", "2.2"]
    for page in (PAGE, "README.md"):
        check(page, "1.7 to 2.2 times as many")

    def slope(label: str) -> str:
        """The power of the length with which examples grow, with its 95% interval."""
        pairs = [(log(length), log(n)) for length, one in found[label].items() for n in one.reached]
        line = linregress(*zip(*pairs, strict=True))
        half = t.ppf(0.975, len(pairs) - 2) * line.stderr
        low, high = (short(line.slope + sign * half, 2) for sign in (-1, 1))
        return f"{short(line.slope, 2)} for {{}} ({{}}{low} to {high})"

    check(PAGE, slope("mamba").format("Mamba", "95% interval "))
    for label, name in (("lstm", "the LSTM"), ("T_hard_alibi", "Hard-ALiBi"), ("griffin", "Griffin")):
        check(PAGE, slope(label).format(name, ""))
    rope, mamba = ([found[label][length].interval[0] for length in (16, 24)] for label in ("T_rope", "mamba"))
    check(PAGE, f"then faster than Mamba's: {rope[1] / rope[0]:.1f} times as many at 24 letters as at 16.")
    assert rope[1] / rope[0] > mamba[1] / mamba[0]
    assert all(
        found["griffin"][length].interval[0] < one.interval[0] for length, one in found["T_rope"].items()
    )
    assert [found["lstm"][length].seeds for length in (16, 24)] == [3, 2]


def test_other_learning_rates_of_small_models_change_what_the_text_says() -> None:
    lines = read_results(FIGURES / "results/small_rates.jsonl")

    def examples(label: str, lr: float, length: int) -> str:
        own = [
            one
            for one in lines
            if one["label"] == label
            and (one["config"]["lr"], one["config"]["max_length"]) == (lr, length)
            and one["config"]["stop_accuracy"] == 0.75
        ]
        assert len(own) == 3
        return f"{needed(own, 0.5)[label][length].interval[0]:,.0f}"

    rope = [examples("T_rope", 2e-3, length) for length in (8, 12, 16, 24)]
    check(PAGE, "RoPE need {}, {}, {} and {} examples at 8, 12, 16 and 24 letters,".format(*rope))
    check(PAGE, "Mamba need {} and {} at 8 and 12.".format(*(examples("mamba", 8e-3, n) for n in (8, 12))))
    trials = [one for one in lines if one["config"]["stop_accuracy"] == 0.99]
    for label, lr in (
        ("T_rope", 1e-3),
        ("T_hard_alibi", 2e-3),
        ("griffin", 2e-3),
        ("mamba", 4e-3),
        ("lstm", 8e-3),
    ):
        scores = {
            one["config"]["lr"]: score(one, by_examples=True) for one in trials if one["label"] == label
        }
        best = max(scores, key=lambda rate: scores[rate])
        assert (best == lr or label == "mamba") and min(scores) < lr < max(scores)
        if label == "mamba":
            check(
                PAGE, f"differ little ({short(min(scores.values()), 2)} to {short(max(scores.values()), 2)})"
            )
