"""Sentences about results that would become wrong with other results, although their numbers might remain."""

import re
from itertools import groupby
from math import exp, hypot, log
from statistics import mean

import pytest
from scipy.stats import ttest_ind

from synthetic_training.figures.examples_by_length import Needed, factor, needed
from synthetic_training.figures.figure_file import read_figure, shipped
from synthetic_training.figures.plan import Result, key_of, plan
from synthetic_training.figures.rates import score
from synthetic_training.figures.repeats import least_accuracy
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import (
    best_of,
    by_length,
    by_test,
    examples_until,
    final_accuracy,
    learning_curve,
)
from synthetic_training.training.run_log import read_lines
from tests.import_graph import ROOT

FIGURES = ROOT / "synthetic_training/figures"


def of(stem: str, label: str, panel: str | None = None) -> list[Result]:
    lines = read_results(FIGURES / "results" / f"{stem}.jsonl")
    found = [one for one in lines if one["label"] == label and one["panel"] == panel]
    assert found
    return found


def check(document: str, sentence: str) -> None:
    """The document has the sentence, wherever its lines break and whatever it links to."""
    text = " ".join((FIGURES / document).read_text(encoding="utf-8").split())
    assert sentence in re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)


def short(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".removeprefix("0")


def by_length_of(stem: str, label: str) -> dict[int, float]:
    return {int(band.x): band.mean for band in by_length(of(stem, label), "copy")}


@pytest.mark.parametrize(
    ("scale", "model", "longest_explained", "sentence"),
    [
        ("paper", "T_hard_alibi", 1000, "What was found is above this column at every length"),
        ("paper", "T_hard_alibi_isolated", 500, "at 1000 letters it errs more often than repeats can"),
        ("small", "T_hard_alibi_isolated", 200, "but not more than at the upper limits"),
    ],
)
def test_repeats_explain_errors_up_to_the_length_in_the_text(
    scale: str, model: str, longest_explained: int, sentence: str
) -> None:
    check("hard_alibi.md", sentence)
    duplicates = of(f"duplicates_{scale}", model)
    for length, found in by_length_of(f"length_generalization_{scale}", model).items():
        explained = found >= least_accuracy(length, duplicates, 26)
        assert explained == (length <= longest_explained), length


def test_models_fail_at_the_lengths_in_the_text() -> None:
    check("README.md", "agree for RoPE, ALiBi and Mamba. NoPE generalises less far than in the paper")
    check("README.md", "it copies most strings of 75 letters on two of three seeds, and hardly any of 100")
    check("README.md", "Hard-ALiBi fails between 300 and 1000, also if the examples")
    stem = "length_generalization_paper"
    rope, alibi, mamba, lstm = (by_length_of(stem, label) for label in ("T_rope", "T_alibi", "mamba", "lstm"))
    assert min(one[50] for one in (rope, alibi, mamba, lstm)) > 0.95
    assert rope[75] < 0.01 and lstm[75] < 0.01 and mamba[75] < 0.5 and mamba[100] < 0.01
    assert alibi[100] > 0.95 and alibi[150] < 0.5
    nope = [by_test(one)["copy"] for one in of(stem, "T_nope")]
    assert sorted(one[75] > 0.5 for one in nope) == [False, True, True]
    assert all(one[100] < 0.01 for one in nope)
    for label in ("T_hard_alibi", "T_hard_alibi_isolated"):
        hard = by_length_of(stem, label)
        assert hard[300] > 0.85 and hard[1000] < 0.5


def test_models_lose_by_repeats_what_the_text_says() -> None:
    def losses(label: str, least: int) -> list[list[float]]:
        scores = [by_test(one) for one in of("duplicates_paper", label)]
        tests = [name for name in scores[0] if name != "copy" and int(name.rpartition(" ")[2]) >= least]
        return [[one["copy"][50] - one[name][50] for one in scores] for name in tests]

    means = [sum(some) / len(some) for label in ("T_rope", "T_nope", "lstm") for some in losses(label, 1)]
    check("README.md", f"On average, RoPE, NoPE and the LSTM lose at most {short(max(means), 3)}.")
    plain = sum(by_test(one)["copy"][50] for one in of("duplicates_paper", "mamba")) / 3
    most = max(plain - sum(some) / len(some) for some in losses("mamba", 3))
    check("README.md", f"Mamba's accuracy falls from {short(plain, 3)} to {short(most, 3)} and less")
    assert all(loss > 0 for some in losses("mamba", 3) for loss in some)
    check("README.md", "From five letters on, ALiBi makes fewer such errors still.")
    for n, fewer in ((3, False), (5, True), (6, True), (8, True), (10, True)):
        alibi, isolated = (
            [by_test(one)[f"duplicate_ngram, n = {n}"][50] for one in of("duplicates_paper", label)]
            for label in ("T_alibi", "T_hard_alibi_isolated")
        )
        assert (min(alibi) > max(isolated)) == fewer


def test_runs_end_early_where_the_text_says() -> None:
    check("README.md", "as one of RoPE and one of ALiBi did; all others had 8,000 steps")
    lines = read_results(FIGURES / "results/length_generalization_paper.jsonl")
    early = [one["label"] for one in lines if learning_curve(one)[-1]["step"] < 8000]
    assert sorted(early) == ["T_alibi", "T_rope"]


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
    until = sorted(examples_until({"curve": run}, 0.5) for run in runs)
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


@pytest.mark.parametrize("document", ["README.md", "mamba_weights.md"])
def test_the_seeds_of_the_precision_study_are_those_in_the_text(document: str) -> None:
    names = {0: "none", 1: "one", 2: "two", 8: "eight", 10: "ten"}
    runs = read_lines(ROOT / "synthetic_training/precision/results/mamba_authors_weights.jsonl")

    def learned(arm: str) -> str:
        own = [one["curve"][-1]["string_accuracy"] >= 0.5 for one in runs if one["arm"] == arm]
        return f"{names[sum(own)]} of {names[len(own)]}"

    assert {(one["config"]["lr"], one["config"]["steps"]) for one in runs} == {(3e-4, 5000)}
    check(document, f"bf16, it learned on {learned('bf16')} seeds with")
    check(document, f"In {sum(one['arm'] != 'bf16' for one in runs)} further runs with the authors' weights,")
    check(
        document,
        f"it learned on {learned('bf16_without_copies')} in bf16 without copies of the weights, on "
        f"{learned('tf32')} in TF32, and on {learned('bf16_float32_recurrence')} with the recurrence in",
    )


def test_mamba_was_still_learning_associative_recall_at_the_highest_rate() -> None:
    runs = read_results(FIGURES / "results/mqar_small.jsonl")
    best = best_of(runs, "lr")
    rates = sorted({one["sweep"]["lr"] for one in runs})
    highest = [one for one in best if one["label"] == "mamba" and one["sweep"]["lr"] == rates[-1]]
    lowest = [one for one in best if one["label"] == "T_rope" and one["sweep"]["lr"] == rates[0]]
    assert (len(highest), len(lowest), len(best)) == (4, 3, 12)
    check("runs.md", "highest that was tried at four of six points, and RoPE's the lowest at three.")
    four = [one for one in highest if one["config"]["pairs"] == 4]
    assert len(four) == 3 and not any(one["config"]["embedding_std"] for one in four)
    (wide,) = (one for one in four if one["config"]["model_args"]["hidden_size"] == 64)
    before, after = (short(point["string_accuracy"], 2) for point in learning_curve(wide)[-2:])
    check("README.md", f"at the end, from {before} to {after} in the last 250 steps.")


def test_what_helps_hard_alibi_is_that_of_the_seeds() -> None:
    def scores(label: str, length: int, stem: str = "hard_alibi_small") -> list[float]:
        lines = sorted(of(stem, label), key=lambda one: one["seed"])
        return [by_test(one)["copy"][length] for one in lines]

    def ends(values: list[float]) -> str:
        return f"{short(min(values), 3)} to {short(max(values), 3)}"

    few, both, plain, log_length = (
        {length: scores(label, length) for length in (40, 60, 80, 120)}
        for label in ("few_letters", "log_length_few_letters", "as_published", "log_length")
    )
    same = {length: scores("T_hard_alibi", length, "length_generalization_small") for length in (60, 80)}
    sixty, eighty = (short(mean(few[length]), 3) for length in (60, 80))
    check("hard_alibi.md", f"{sixty} of the strings of 60 letters are correct and {eighty} of those of 80,")
    assert all(min(few[length]) > max(*plain[length], *same[length]) for length in (60, 80))
    without = [short(mean(plain[length]), 3) for length in (60, 80)]
    check("hard_alibi.md", "the three of `as_published` ({} and {} on average)".format(*without))
    check("hard_alibi.md", f"which reach {ends(same[60])} and {ends(same[80])}.")
    means = [short(mean(both[length]), 3) for length in (60, 80)]
    check(
        "hard_alibi.md", "in addition, the means are {} and {}, and at 120 letters each seed".format(*means)
    )
    assert all(one > other for one, other in zip(both[120], few[120], strict=True))
    check("hard_alibi.md", f"With the logarithm, {ends(log_length[60])} of the strings of 60 letters are")
    assert sum(one > other for one, other in zip(log_length[60], plain[60], strict=True)) == 2
    repeated = short(max(scores("repeats", 40)), 3)
    check(
        "hard_alibi.md", f"at most {repeated} of the strings of 40 letters are correct, instead of at least"
    )
    check("hard_alibi.md", f"instead of at least {short(min(plain[40]), 3)}.")
    some = scores("short_repeats", 60)
    check("hard_alibi.md", f"the seeds range from none to {short(max(some), 3)} of the strings of 60")
    assert min(some) == 0


def test_the_competitors_that_models_met_are_those_in_the_text() -> None:
    met = []
    for one in read_results(FIGURES / "results/hard_alibi_small.jsonl"):
        keys = [test["keys"] for test in one["tests"] if test["length"] <= 40]
        wrong = [(count, found) for own in keys for count, *found in own["wrong"]]
        met.append(
            [
                sum(own["right"][n] for own in keys) + sum(count * found[n] for count, found in wrong)
                for n in (3, 4, 5)
            ]
        )
    three, four, five = map(max, zip(*met, strict=True))
    check("hard_alibi.md", f"at most {three} competitors of three letters and {four} of four.")
    assert five == 0


def test_the_figures_with_missing_runs_are_those_in_the_text() -> None:
    missing = []
    for name, file in shipped().items():
        scale = read_figure(file).scales.get("paper")
        results = FIGURES / "results" / f"{name}_paper.jsonl"
        rates = FIGURES / "results" / f"{name}_rates_paper.jsonl"
        if scale is not None and (results.exists() or rates.exists()):
            made = {key_of(one) for one in read_results(results)} if results.exists() else set()
            if len(made) < len(plan(scale, name)):
                missing.append(f"`{name}`")
    check("runs.md", f"some runs of {', '.join(missing[:-1])} and {missing[-1]} are still missing")
    tried, used = (
        next(final_accuracy(one) for one in of(stem, "T_rope", "suffix_ngram") if one["seed"] == 0)
        for stem in ("ngram_rope_rate", "ngram_lookup_small")
    )
    check("runs.md", f"an accuracy of {short(tried, 2)} in the suffix look-up")
    check("runs.md", f"and {short(used, 2)} with the same seed at 1e-3")
