"""Sentences about results that would become wrong with other results, although their numbers might remain."""

import re
from itertools import groupby
from statistics import mean

import pytest

from synthetic_training.figures.figure_file import read_figure, shipped
from synthetic_training.figures.plan import Result, key_of, plan
from synthetic_training.figures.repeats import least_accuracy
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import (
    by_length,
    by_test,
    examples_until,
    final_accuracy,
    learning_curve,
)
from tests.import_graph import ROOT

FIGURES = ROOT / "synthetic_training/figures"
LOOKUP, SMALL_LOOKUP, LOOKUP_RATES = "ngram_lookup_paper", "ngram_lookup_small", "ngram_lookup_rates_paper"
LOOKUP_BY_LENGTH = "ngram_lookup_by_length_paper"
TRANSFORMERS = ("T_rope", "T_nope", "T_alibi", "T_hard_alibi")
RECURRENT = ("mamba", "mamba_authors", "lstm")


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
    check("README.md", f"RoPE, NoPE and the LSTM lose at most {short(max(means), 3)}.")
    plain = sum(by_test(one)["copy"][50] for one in of("duplicates_paper", "mamba")) / 3
    most = max(plain - sum(some) / len(some) for some in losses("mamba", 3))
    check("README.md", f"Mamba's accuracy falls from {short(plain, 3)} to {short(most, 3)} and less")
    assert all(loss > 0 for some in losses("mamba", 3) for loss in some)


@pytest.mark.parametrize("panel", ["prefix_ngram", "suffix_ngram"])
def test_small_mamba_is_ahead_in_ngram_lookup_only_where_the_text_says(panel: str) -> None:
    check(
        "README.md",
        "With the key last, the transformers are far ahead. With the key first, Mamba is ahead, but",
    )
    models = ("mamba", "T_rope", "T_hard_alibi")
    small = {label: [final_accuracy(one) for one in of(SMALL_LOOKUP, label, panel)] for label in models}
    rope_and_hard = [*small["T_rope"], *small["T_hard_alibi"]]
    if panel == "prefix_ngram":
        assert 0.5 > min(small["mamba"]) > 2 * max(rope_and_hard) and max(small["mamba"]) < 0.5
    else:
        assert min(rope_and_hard) > 2 * max(small["mamba"])


PLACES = ("prefix", "suffix")


def lookup_leads(place: str, label: str) -> dict[int, list[float]]:
    """By how much a model is more accurate than Mamba on each seed, by length."""

    def scores(model: str) -> list[dict[int, float]]:
        found = {one["seed"]: by_test(one) for one in of(LOOKUP_BY_LENGTH, model, f"{place}_ngram")}
        assert sorted(found) == [0, 1, 2]
        return [found[seed][f"{place}_ngram, n = 3"] for seed in range(3)]

    pairs = [*zip(scores(label), scores("mamba"), strict=True)]
    return {length: [one[length] - mamba[length] for one, mamba in pairs] for length in pairs[0][0]}


def test_mamba_falls_behind_in_ngram_lookup_at_the_lengths_in_the_text() -> None:
    check("README.md", "In our results, Mamba is not ahead of RoPE or Hard-ALiBi in either task.")
    as_good = "Mamba is about as accurate as RoPE, ALiBi and Hard-ALiBi, and more accurate than NoPE."
    check("README.md", f"On strings of up to 40 letters, {as_good}")
    check("README.md", "At 60 letters it is behind the first three, and from 80 letters on behind all transf")
    check(
        "README.md", "On strings of up to 20 letters, the same holds. From 30 to 150 letters, Mamba is behind"
    )
    check("README.md", "and at 100 and 150 behind all transformers. At 200 letters, RoPE fails too.")
    first, last = ({label: lookup_leads(place, label) for label in TRANSFORMERS} for place in PLACES)
    for leads, longest in ((first, 40), (last, 20)):
        for label, by in leads.items():
            near = [lead for length, leads_ in by.items() if length <= longest for lead in leads_]
            assert max(near) < 0 if label == "T_nope" else max(map(abs, near)) < 0.03
    for label in TRANSFORMERS:
        lengths = (80, 100, 150, 200) if label == "T_nope" else (60, 80, 100, 150, 200)
        assert all(min(first[label][length]) > 0 for length in lengths)
        assert all(min(last[label][length]) > 0 for length in (100, 150))
    assert min(first["T_nope"][60]) < 0 < max(first["T_nope"][60])
    for label in ("T_rope", "T_hard_alibi"):
        assert all(min(last[label][length]) > 0 for length in (30, 40, 60, 80, 100, 150))
    assert mean(last["T_rope"][200]) < 0


def test_lookup_with_the_key_first_and_last() -> None:
    check(
        "README.md", "on 100 letters, Mamba, Mamba with its authors' weights, and the LSTM are more accurate"
    )
    check("README.md", "But so is NoPE, while RoPE, ALiBi and Hard-ALiBi are about as accurate in one task")
    for label in (*TRANSFORMERS, *RECURRENT):
        first, last = ([final_accuracy(one) for one in of(LOOKUP, label, f"{p}_ngram")] for p in PLACES)
        if label in ("T_nope", *RECURRENT):
            assert min(first) > max(last)
        else:
            assert abs(mean(first) - mean(last)) < 0.03


@pytest.mark.parametrize("place", PLACES)
def test_hard_alibi_looks_up_best_in_longer_strings(place: str) -> None:
    check(
        "README.md",
        "Hard-ALiBi is the most accurate model on strings longer than those in training, on every",
    )
    hard = lookup_leads(place, "T_hard_alibi")
    for label in {*TRANSFORMERS, *RECURRENT} - {"T_hard_alibi"}:
        other = lookup_leads(place, label)
        assert all(min(hard[length]) > max(other[length]) for length in (150, 200))


def test_models_that_were_still_learning_to_look_up() -> None:
    check("README.md", "No model reached an accuracy of .99 on 100 letters within its 6,000 steps")
    gains = {}
    for place in PLACES:
        for label in (*TRANSFORMERS, *RECURRENT):
            curves = [learning_curve(one) for one in of(LOOKUP, label, f"{place}_ngram")]
            ends = [[point["string_accuracy"] for point in curve][-10:] for curve in curves]
            assert all(curve[-1]["step"] - curve[-6]["step"] == 1000 for curve in curves)
            assert {curve[-1]["step"] for curve in curves} == {6000} and max(map(max, ends)) < 0.99
            gains[place, label] = mean(mean(end[5:]) - mean(end[:5]) for end in ends)
    mamba = {short(gains[place, "mamba"], 2) for place in PLACES}
    nope = " and ".join(short(gains[place, "T_nope"], 2) for place in PLACES)
    check("README.md", f"by {mamba.pop()} for Mamba in both tasks, by {nope} for NoPE")
    authors, lstm = (short(gains["prefix", label], 2) for label in ("mamba_authors", "lstm"))
    check(
        "README.md", f"key first by {authors} for Mamba with its authors' weights and by {lstm} for the LSTM."
    )
    check("README.md", "For RoPE, ALiBi and Hard-ALiBi, the difference was less than .02.")
    assert not mamba
    assert all(abs(gains[p, m]) < 0.02 for p in PLACES for m in TRANSFORMERS if m != "T_nope")


def test_the_learning_rates_at_which_lookup_was_not_learned() -> None:
    check("runs.md", "where the LSTM and Mamba with its authors' weights learned at no rate")
    check("README.md", "There, the LSTM and Mamba with its authors' weights learned at no rate.")
    for panel in ("prefix_ngram", "suffix_ngram"):
        for label in ("lstm", "mamba_authors"):
            assert max(final_accuracy(one) for one in of(LOOKUP_RATES, label, panel)) == 0


def test_small_transformers_do_not_learn_lookup_with_the_key_first() -> None:
    check("README.md", "RoPE and Hard-ALiBi reach at most .12 there, also at other learning rates")
    runs = read_results(FIGURES / "results/ngram_prefix_rates.jsonl")
    runs += [one for m in ("T_rope", "T_hard_alibi") for one in of(SMALL_LOOKUP, m, "prefix_ngram")]
    most = max(point["string_accuracy"] for one in runs for point in learning_curve(one))
    assert short(most, 2) == ".12" and len(runs) == 6 + 2 * 3


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
    check("README.md", "At 50 letters, they give Mamba forty times")
    assert 40 < budget("efficiency_50", "mamba", trial) < 45
    assert budget("efficiency_50", "mamba_authors", trial) == budget("efficiency_50", "mamba", trial)
    check("README.md", "and the LSTM thirty times; at 300, both get more than thirteen times")
    assert 30 < budget("efficiency_50", "lstm", trial) < 35
    earlier = of("efficiency_paper", "T_rope")
    assert all(budget("efficiency_300", label, earlier) > 13 for label in ("mamba", "mamba_authors", "lstm"))


def test_the_logarithm_of_the_length_is_compared_with_runs_without_it() -> None:
    alone = by_length_of("hard_alibi_small", "as_published")[60]
    seeds = [by_test(one)["copy"] for one in of("length_generalization_small", "T_hard_alibi")]
    a, b, c = sorted(short(one[60], 3) for one in seeds)
    check("hard_alibi.md", f"without it {short(alone, 3)}, but with the same settings the three seeds")
    check("hard_alibi.md", f"of `length_generalization` reach {a}, {b} and {c}.")
    least, *_, most = sorted(one[80] for one in seeds)
    check("hard_alibi.md", f"more than all of them ({short(least, 3)} to {short(most, 3)})")


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
        for stem in ("ngram_rope_rate", SMALL_LOOKUP)
    )
    check("runs.md", f"an accuracy of {short(tried, 2)} in the suffix look-up")
    check("runs.md", f"and {short(used, 2)} with the same seed at 1e-3")
