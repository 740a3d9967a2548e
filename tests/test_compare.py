"""The paired comparison of two models, against known answers and by simulation."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dataset_builders import InputError
from lm_eval_tasks.results.compare import compare, compare_rows, comparison_table, p_text
from lm_eval_tasks.results.paired_intervals import tango_interval
from lm_eval_tasks.results.rows import read_scores
from tests.result_files import log_samples, result_file

TASK = "phone_book_20"


# ---- the test


def test_mcnemars_exact_test_by_hand() -> None:
    first = np.array([1.0] * 7 + [0.0] * 1 + [1.0] * 4 + [0.0] * 4)
    second = np.array([0.0] * 7 + [1.0] * 1 + [1.0] * 4 + [0.0] * 4)
    found = compare(first, second, "binary")
    assert (found.first_better, found.second_better, found.documents) == (7, 1, 16)
    assert found.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    assert found.difference == pytest.approx(6 / 16)
    assert found.ends == tango_interval(7, 1, 16)
    alike = compare(first, first, "binary")
    assert (alike.p_value, alike.ends) == (1.0, tango_interval(0, 0, 16))
    swapped = compare(second, first, "binary")
    assert swapped.p_value == found.p_value


def test_the_permutation_test_agrees_with_the_t_test_on_many_documents() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random(300), rng.random(300) + 0.04
    found = compare(first, second, "bounded")
    assert found.p_value == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.02)
    assert compare(first, first, "bounded").p_value == 1.0


def test_scores_of_any_range_have_students_interval_and_always_the_same_p_value() -> None:
    rng = np.random.default_rng(2)
    first = rng.integers(0, 2, 40).astype(float)
    second = np.roll(first, 1)
    found = compare(first, second, "real")
    ends = stats.ttest_rel(first, second).confidence_interval(0.95)
    assert found.ends == pytest.approx((ends.low, ends.high))
    noisy = first + rng.random(40)
    assert compare(noisy, second, "real") == compare(noisy, second, "real")


def test_two_equal_models_differ_in_five_percent_of_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    """A simulation: the false-positive rate is the nominal 5%, or slightly less for exact tests."""
    monkeypatch.setattr("lm_eval_tasks.results.compare.paired_interval", lambda *_: None)
    monkeypatch.setattr("lm_eval_tasks.results.compare.RESAMPLES", 199)
    rng = np.random.default_rng(0)
    trials, documents = 2000, 500
    binary = permuted = powerful = 0
    for trial in range(trials):
        easy = rng.random(documents)  # both models find the same documents hard
        first, second = (0.5 * easy + 0.5 * rng.random((2, documents)) < 0.5).astype(float)
        binary += compare(first, second, "binary").p_value < 0.05
        better = (0.5 * easy + 0.5 * rng.random(documents) < 0.6).astype(float)
        powerful += compare(better, second, "binary").p_value < 0.05
        if trial < 500:
            one, other = easy[:60] + rng.random((2, 60))
            permuted += compare(one, other, "bounded").p_value <= 0.05
    # three standard errors of the rate: 0.0146 of 2,000 and 0.029 of 500 comparisons
    assert 0.025 < binary / trials < 0.05 + 0.0146
    assert 0.05 - 0.029 < permuted / 500 < 0.05 + 0.029
    assert powerful / trials > 0.95, "ten points of 500 documents are found"


# ---- rows and their samples


def two_rows(folder: Path, first: list[float], second: list[float], task: str = TASK) -> None:
    for model, values in (("a", first), ("b", second)):
        mean = sum(values) / len(values)
        file = result_file(folder, {task: mean}, model=model, documents=len(values))
        log_samples(file, task, values)


def test_only_documents_that_both_have_are_compared(tmp_path: Path) -> None:
    two_rows(tmp_path, [1.0, 1.0, 0.0, 1.0], [0.0, 1.0])
    (found,) = compare_rows(read_scores([tmp_path]), "a", "b").values()
    assert (found.documents, found.first, found.second) == (2, 1.0, 0.5)


def test_several_lengths_are_also_compared_together(tmp_path: Path) -> None:
    two_rows(tmp_path, [1.0, 1.0], [0.0, 1.0])
    two_rows(tmp_path, [1.0, 0.0], [0.0, 0.0], "phone_book_40")
    found = compare_rows(read_scores([tmp_path]), "a", "b")
    assert [key for _, key in found] == ["20 entries", "40 entries", "all lengths"]
    last = found["phone_book", "all lengths"]
    assert (last.documents, last.first_better, last.p_value) == (4, 2, 0.5)


def test_a_table_says_why_an_interval_without_0_may_have_a_large_p_value(tmp_path: Path) -> None:
    two_rows(tmp_path / "few", [1.0] * 4, [0.0] * 4)
    two_rows(tmp_path / "more", [1.0] * 8, [0.0] * 8)
    few, more = (
        comparison_table(compare_rows(read_scores([tmp_path / name]), "a", "b"), "a", "b")
        for name in ("few", "more")
    )
    assert (
        "| +1.000 [+0.02, +1.00] | 0.125 | McNemar, exact (4 : 0) |" in few
        and "the exact test is stricter" in few
    )
    assert "| +1.000 [+0.35, +1.00] | 0.008 |" in more and "the exact test" not in more


def test_the_intervals_are_named_after_the_scores() -> None:
    first, second = np.array([0.9, 0.4, 0.5, 0.8]), np.array([0.2, 0.3, 0.4, 0.1])
    fractions, numbers = (compare(first, second, scale) for scale in ("bounded", "real"))
    assert fractions.ends != numbers.ends
    binary = compare(first.round(), second.round(), "binary")
    texts = [comparison_table({("b", "20"): one}, "x", "y") for one in (binary, fractions)]
    assert ["Tango's" in text for text in texts] == [True, True]
    assert ["Wilson's at the effective number of documents" in text for text in texts] == [False, True]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    two_rows(tmp_path, [1.0, 1.0], [0.0, 1.0])
    result_file(tmp_path, {"phone_book_40": 0.5}, model="c")
    result_file(tmp_path, {TASK: 0.5}, model="d")
    scores = read_scores([tmp_path])
    for one, other, message in (
        ("a", "A", "there is no row 'A'; the rows are 'a', 'b', 'c', 'd'; did you mean 'a'?"),
        ("a", "a", "--compare takes two different rows, not 'a' twice"),
        ("a", "c", "'a' and 'c' were not evaluated on the same task"),
        ("a", "d", "does not exist; run lm_eval with --log_samples"),
    ):
        with pytest.raises(InputError, match=re.escape(message)):
            compare_rows(scores, one, other)
    samples = tmp_path / f"samples_{TASK}_001.jsonl"
    samples.write_text(samples.read_text().replace('"h', '"other'))
    with pytest.raises(InputError, match="evaluated on different documents of phone_book_20"):
        compare_rows(scores, "a", "b")
    samples.write_text(samples.read_text()[:60])
    with pytest.raises(InputError, match="is not a complete file of lm-eval's samples: Invalid JSON"):
        compare_rows(scores, "a", "b")
    with samples.open("wb") as stream:
        stream.truncate(5 * 2**30)  # takes no disk
    with pytest.raises(InputError, match="has more than 4 GiB"):
        compare_rows(scores, "a", "b")


def test_both_models_need_the_same_main_metric_in_all_samples(tmp_path: Path) -> None:
    two_rows(tmp_path, [1.0, 1.0], [0.0, 1.0])
    samples = tmp_path / f"samples_{TASK}_001.jsonl"
    samples.write_text(samples.read_text().replace("exact_match", "f1"))
    with pytest.raises(InputError, match="the samples of phone_book_20 lack exact_match"):
        compare_rows(read_scores([tmp_path]), "a", "b")
    results = tmp_path / "results_001.json"
    results.write_text(results.read_text().replace("exact_match", "f1"))
    with pytest.raises(InputError, match="'a' and 'b' have no main metric in common on phone_book_20"):
        compare_rows(read_scores([tmp_path]), "a", "b")


def test_a_p_value_is_never_shown_as_0() -> None:
    assert [p_text(p) for p in (0.0, 0.000999, 0.001, 1.0)] == ["<0.001", "<0.001", "0.001", "1.000"]
