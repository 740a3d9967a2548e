"""Sentences about n-gram look-up that would become wrong with other results."""

from statistics import mean

import pytest

from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import by_test, final_accuracy, learning_curve
from tests.test_document_claims import FIGURES, check, of, short

LOOKUP, SMALL_LOOKUP, LOOKUP_RATES = "ngram_lookup_paper", "ngram_lookup_small", "ngram_lookup_rates_paper"
LOOKUP_BY_LENGTH = "ngram_lookup_by_length_paper"
PAGE = "ngram_lookup.md"
TRANSFORMERS = ("T_rope", "T_nope", "T_alibi", "T_hard_alibi")
RECURRENT = ("mamba", "mamba_authors", "lstm")


@pytest.mark.parametrize("panel", ["prefix_ngram", "suffix_ngram"])
def test_small_mamba_is_ahead_in_ngram_lookup_only_where_the_text_says(panel: str) -> None:
    check(
        PAGE,
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
    """The accuracy of a model minus that of Mamba, by length, for each seed."""

    def scores(model: str) -> list[dict[int, float]]:
        found = {one["seed"]: by_test(one) for one in of(LOOKUP_BY_LENGTH, model, f"{place}_ngram")}
        assert sorted(found) == [0, 1, 2]
        return [found[seed][f"{place}_ngram, n = 3"] for seed in range(3)]

    pairs = [*zip(scores(label), scores("mamba"), strict=True)]
    return {length: [one[length] - mamba[length] for one, mamba in pairs] for length in pairs[0][0]}


def test_mamba_falls_behind_in_ngram_lookup_at_the_lengths_in_the_text() -> None:
    check("README.md", "In our results, Mamba is not ahead of RoPE or Hard-ALiBi in either task.")
    check("README.md", "on strings of 100 letters, the longest in training, it is behind all transformers")
    as_good = "Mamba is about as accurate as RoPE, ALiBi and Hard-ALiBi, and more accurate than NoPE."
    check(PAGE, f"On strings of up to 40 letters, {as_good}")
    check(
        PAGE,
        "At 60 letters it is behind the first three, and from 80 letters on behind all transf",
    )
    check(
        PAGE,
        "On strings of up to 20 letters, the same holds. From 30 to 150 letters, Mamba is behind",
    )
    check(PAGE, "and at 100 and 150 behind all transformers. At 200 letters, RoPE fails too.")
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
        PAGE,
        "on 100 letters, Mamba, Mamba with its authors' weights, and the LSTM are more accurate",
    )
    check(
        PAGE,
        "But so is NoPE, while RoPE, ALiBi and Hard-ALiBi are about as accurate in one task",
    )
    for label in (*TRANSFORMERS, *RECURRENT):
        first, last = ([final_accuracy(one) for one in of(LOOKUP, label, f"{p}_ngram")] for p in PLACES)
        if label in ("T_nope", *RECURRENT):
            assert min(first) > max(last)
        else:
            assert abs(mean(first) - mean(last)) < 0.03


def test_mamba_starts_to_look_up_before_rope_with_the_key_first() -> None:
    def at(label: str, step: int) -> list[float]:
        curves = [learning_curve(one) for one in of(LOOKUP, label, "prefix_ngram")]
        return [point["string_accuracy"] for curve in curves for point in curve if point["step"] == step]

    least, most = (short(f(at("mamba", 1000)), 2) for f in (min, max))
    other = short(max(*at("T_rope", 1000), *at("T_nope", 1000)), 2)
    check(
        PAGE,
        f"After 1,000 steps, it is correct on {least} to {most} of the strings of 100 letters",
    )
    check(
        PAGE,
        f"RoPE and NoPE on at most {other}. After 2,000 steps, RoPE is ahead on every seed.",
    )
    assert min(at("T_rope", 2000)) > max(at("mamba", 2000))
    check(PAGE, "ALiBi is ahead of Mamba from step 800 on")
    assert all(min(at("T_alibi", step)) > max(at("mamba", step)) for step in range(800, 6001, 200))
    assert max(at("T_alibi", 600)) < max(at("mamba", 600))


@pytest.mark.parametrize("place", PLACES)
def test_hard_alibi_looks_up_best_in_longer_strings(place: str) -> None:
    check(
        PAGE,
        "Hard-ALiBi is the most accurate model on strings longer than those in training, on every",
    )
    hard = lookup_leads(place, "T_hard_alibi")
    for label in {*TRANSFORMERS, *RECURRENT} - {"T_hard_alibi"}:
        other = lookup_leads(place, label)
        assert all(min(hard[length]) > max(other[length]) for length in (150, 200))


def test_models_that_were_still_learning_to_look_up() -> None:
    check(PAGE, "No model reached an accuracy of .99 on 100 letters within its 6,000 steps")
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
    check(PAGE, f"by {mamba.pop()} for Mamba in both tasks, by {nope} for NoPE")
    authors, lstm = (short(gains["prefix", label], 2) for label in ("mamba_authors", "lstm"))
    check(
        PAGE,
        f"key first by {authors} for Mamba with its authors' weights and by {lstm} for the LSTM.",
    )
    check(PAGE, "For RoPE, ALiBi and Hard-ALiBi, the difference was less than .02.")
    assert not mamba
    assert all(abs(gains[p, m]) < 0.02 for p in PLACES for m in TRANSFORMERS if m != "T_nope")


def test_the_learning_rates_at_which_lookup_was_not_learned() -> None:
    check("runs.md", "where the LSTM and Mamba with its authors' weights learned at no rate")
    check(PAGE, "There, the LSTM and Mamba with its authors' weights learned at no rate.")
    for panel in ("prefix_ngram", "suffix_ngram"):
        for label in ("lstm", "mamba_authors"):
            assert max(final_accuracy(one) for one in of(LOOKUP_RATES, label, panel)) == 0


def test_small_transformers_do_not_learn_lookup_with_the_key_first() -> None:
    check(PAGE, "RoPE and Hard-ALiBi reach at most .12 there, also at other learning rates")
    runs = read_results(FIGURES / "results/ngram_prefix_rates.jsonl")
    runs += [one for m in ("T_rope", "T_hard_alibi") for one in of(SMALL_LOOKUP, m, "prefix_ngram")]
    most = max(point["string_accuracy"] for one in runs for point in learning_curve(one))
    assert short(most, 2) == ".12" and len(runs) == 6 + 2 * 3
