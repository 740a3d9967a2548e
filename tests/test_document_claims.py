"""Sentences about results that would become wrong with other results, although their numbers might remain."""

from statistics import mean

import pytest

from synthetic_training.figures.figure_file import read_figure, shipped
from synthetic_training.figures.plan import key_of, plan
from synthetic_training.figures.repeats import least_accuracy
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import (
    best_of,
    by_test,
    final_accuracy,
    learning_curve,
)
from synthetic_training.training.run_log import read_lines
from tests.import_graph import ROOT
from tests.sentences import FIGURES, by_length_of, check, of, short


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
