"""Lower bounds on recalled bits: never above the bits of simulated memories, nor above the theory's limit."""

import json
import math
import re
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import phone_book
from dataset_builders.benchmark import RandomAnswers
from dataset_builders.registry import default_release, find, own_benchmarks
from lm_eval_tasks.results.capacity import capacities, capacity_table, random_answers
from lm_eval_tasks.results.recalled_bits import (
    BY_SYMBOL,
    WHOLE,
    Observed,
    lower_accuracy,
    lower_bounds,
    recalled_bits,
)
from lm_eval_tasks.results.rows import read_scores
from synthetic_training.theory.bounds import gssm_error_bound_of_bits
from tests.import_graph import ROOT
from tests.memories import NUMBER, Memory, NoisyMemory
from tests.result_files import result_file

# ---- the bound itself


def divergence(p: float, q: float) -> float:
    return sum(a * math.log2(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.9, 1.0])
def test_whole_answers_are_fanos_inequality(p: float) -> None:
    size = 4 * 10**9
    entropy = -sum(q * math.log2(q) for q in (p, 1 - p) if q)
    fano = math.log2(size) - entropy - (1 - p) * math.log2(size - 1)
    assert recalled_bits(RandomAnswers(98, NUMBER), WHOLE, p) == pytest.approx(98 * fano, rel=1e-12)


@pytest.mark.parametrize("r", [0.1, 0.5, 0.99, 1.0])
def test_symbols_of_one_size_are_a_sum_over_positions(r: float) -> None:
    found = recalled_bits(RandomAnswers(3, (26,) * 50), BY_SYMBOL, r)
    assert found == pytest.approx(3 * 50 * divergence(r, 1 / 26), rel=1e-9)


def test_guesses_recall_nothing_and_bits_rise_with_accuracy() -> None:
    answers = RandomAnswers(10, NUMBER)
    chance = {WHOLE: 1 / 4e9, BY_SYMBOL: (1 / 4 + 9 / 10) / 10}
    for metric, guess in chance.items():
        assert recalled_bits(answers, metric, guess) == pytest.approx(0, abs=1e-12)
        assert recalled_bits(answers, metric, guess / 2) == 0
        bits = [recalled_bits(answers, metric, float(p)) for p in np.linspace(guess, 1, 50)]
        assert bits == sorted(bits)
        assert bits[-1] == pytest.approx(10 * math.log2(4e9))
    assert recalled_bits(RandomAnswers(1, (1, 1)), BY_SYMBOL, 1.0) == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.01, 1), min_size=36, max_size=36))
def test_no_channel_carries_less_than_the_bound(weights: list[float]) -> None:
    """Any joint distribution of an answer (two symbols of 2 and 3 values) and a guess: exact information."""
    answers = list(product(range(2), range(3)))
    channel = np.array(weights).reshape(6, 6) ** 6
    joint = channel / channel.sum(axis=1, keepdims=True) / 6
    information = sum(
        joint[i, j] * math.log2(joint[i, j] * 6 / joint[:, j].sum()) for i, j in product(range(6), repeat=2)
    )
    symbols = sum(
        joint[i, j] * (answers[i][k] == answers[j][k]) / 2
        for i, j, k in product(range(6), range(6), range(2))
    )
    random = RandomAnswers(1, (2, 3))
    assert recalled_bits(random, WHOLE, float(np.trace(joint))) <= information + 1e-9
    assert recalled_bits(random, BY_SYMBOL, float(symbols)) <= information + 1e-9


@pytest.mark.parametrize("length", [5, 20, 500])
@pytest.mark.parametrize("letters", [2, 26])
def test_theorem_2_7_allows_no_more_bits_than_the_state_has(letters: int, length: int) -> None:
    """At the highest accuracy that the theorem allows for a state of b bits, the bound is at most b."""
    answers = RandomAnswers(1, (letters,) * length)
    whole = length * math.log2(letters)
    for bits in (1, int(whole / 2), math.floor(whole), math.ceil(whole) + 1):
        accuracy = 1 - gssm_error_bound_of_bits(bits, letters, length)
        assert recalled_bits(answers, WHOLE, accuracy) <= bits + 1e-6
    assert recalled_bits(answers, WHOLE, 1.0) == pytest.approx(whole)


# ---- confidence


def test_lower_accuracies_are_exact_at_the_ends_and_below_the_mean() -> None:
    for metric in (WHOLE, BY_SYMBOL):
        assert lower_accuracy(metric, 0.0, 16, 0.05) == 0
        assert lower_accuracy(metric, 1.0, 16, 0.05) == pytest.approx(0.05 ** (1 / 16))
        assert 0.3 < lower_accuracy(metric, 0.5, 100, 0.05) < 0.45
        assert lower_accuracy(metric, 0.01, 1, 1e-9) < 1e-9
    assert lower_accuracy(BY_SYMBOL, 0.5, 100, 0.05) < lower_accuracy(WHOLE, 0.5, 100, 0.05)


BOOKS = (20, 40, 80)


def share_above(memory: Memory | NoisyMemory, trials: int, documents: int) -> tuple[float, float]:
    """The fraction of simulations in which a bound is above the stored bits, with and without confidence."""
    random, above, naive = np.random.default_rng(0), 0, 0
    for _ in range(trials):
        if isinstance(memory, Memory):
            rows = [(memory.bits(n), one) for n in BOOKS for one in memory.observed(n, documents, random)]
        else:
            rows = [(memory.bits(), one) for one in memory.observed(documents, random)]
        bounds = lower_bounds([one for _, one in rows])
        above += any(bound > stored + 1e-9 for (stored, _), bound in zip(rows, bounds, strict=True))
        naive += any(recalled_bits(one.answers, one.metric, one.mean) > stored + 1e-9 for stored, one in rows)
    return above / trials, naive / trials


MEMORIES = {
    "first entries": Memory(30, recent=False),
    "recent entries": Memory(30, recent=True),
    "noisy letters": NoisyMemory(0.8, (26,) * 20),
    "noisy numbers": NoisyMemory(0.3, (4 * 10**9,)),
    "noisy digits": NoisyMemory(0.6, NUMBER),
}


@pytest.mark.parametrize("name", MEMORIES)
def test_bounds_rarely_exceed_the_bits_of_a_memory(name: str) -> None:
    assert share_above(MEMORIES[name], trials=60, documents=40)[0] <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("documents", [8, 100])
@pytest.mark.parametrize("name", MEMORIES)
def test_bounds_exceed_the_bits_of_a_memory_in_at_most_one_of_twenty_runs(name: str, documents: int) -> None:
    assert share_above(MEMORIES[name], trials=2000, documents=documents)[0] <= 0.05


def test_without_confidence_bounds_would_exceed_the_bits() -> None:
    """A check of the test: the observed accuracy alone gives too many bits in about half of the runs."""
    assert share_above(MEMORIES["noisy numbers"], trials=60, documents=40)[1] > 0.3


def test_a_bound_of_several_lengths_is_lower_than_of_one() -> None:
    one = Observed(RandomAnswers(18, NUMBER), WHOLE, 0.5, 100)
    (alone,) = lower_bounds([one])
    assert lower_bounds([one, one, one])[0] < alone


# ---- what is true of the benchmarks


def test_phone_books_leave_all_entries_but_the_examples_to_be_queried() -> None:
    queried = set()
    for row in phone_book.rows(4, num_docs=40):
        _, examples, query = row["prompt"].split("\n\n")
        assert query.removesuffix(":") not in examples
        queried.add(row["query_position"])
        assert len(row["answer"]) == len(NUMBER)
    assert queried == {0, 1, 2, 3}
    assert phone_book.random_answers({"entries": 4}) == RandomAnswers(2, NUMBER)
    assert phone_book.random_answers({"entries": 4, "position": 0.5}) == RandomAnswers(1, NUMBER)
    several = (("stratified", 18), ([0, 0.5, 0.52, 1], 1), ([0, 0.2, 0.4, 0.6, 1], 3), ([0, 1], 1))
    for position, questions in several:
        arguments = {"entries": 20, "position": position}
        assert phone_book.random_answers(arguments) == RandomAnswers(questions, NUMBER)


@pytest.mark.parametrize(
    ("name", "settings", "letters"),
    [("string_copy", {"k": None}, 30), ("string_copy", {"k": 4}, 4), ("string_reverse", {}, 30)],
)
def test_all_letters_of_a_copy_are_random(name: str, settings: dict[str, int | None], letters: int) -> None:
    config = find(name).config(30, vocabulary=5, **settings)
    assert config.benchmark.random_answers(config.arguments) == RandomAnswers(1, (5,) * letters)
    for row in config.benchmark.builder(**{**config.arguments, "num_docs": 2}):
        assert len(row["answer"].split()) == letters


@pytest.mark.parametrize(
    "name", ["c4_copy", "squad_v2_retrieval", "string_suffix_ngram", "string_duplicate_ngram"]
)
def test_answers_that_are_not_uniform_have_no_bound(name: str) -> None:
    benchmark = find(name)
    if benchmark.random_answers is not None:
        assert benchmark.random_answers(benchmark.config(20).arguments) is None


# ---- the report


def test_a_report_has_the_largest_bound_of_each_row(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 1.0, "phone_book_100": 0.5}, model="a", documents=100)
    result_file(tmp_path, {"phone_book_20": 0.0}, model="b", documents=100)
    scores = read_scores([tmp_path])
    found = capacities(scores)["a"]
    bounds = lower_bounds(
        [Observed(RandomAnswers(n - 2, NUMBER), WHOLE, p, 100) for n, p in ((20, 1.0), (100, 0.5))]
    )
    assert found.bits == pytest.approx({20: bounds[0], 100: bounds[1]})
    assert found.most_bits == (100, bounds[1])
    text = capacity_table(scores)
    assert f"at least {bounds[1]:,.0f}" in text and "| 100 entries |" in text
    assert "no bound" in text


@pytest.mark.parametrize(("exact", "letters", "larger"), [(0.9, 0.95, 0), (0.0, 0.9, 1)])
def test_the_larger_bound_of_two_metrics_counts(
    tmp_path: Path, exact: float, letters: float, larger: int
) -> None:
    file = result_file(tmp_path, {"phone_book_20": exact}, documents=100)
    results = json.loads(file.read_text())
    results["results"]["phone_book_20"]["char_accuracy,none"] = letters
    file.write_text(json.dumps(results))
    answers = RandomAnswers(18, NUMBER)
    bounds = lower_bounds([Observed(answers, WHOLE, exact, 100), Observed(answers, BY_SYMBOL, letters, 100)])
    assert bounds[larger] > bounds[1 - larger]
    assert capacities(read_scores([file]))["model"].bits == pytest.approx({20: bounds[larger]})


def test_settings_of_a_run_count(tmp_path: Path) -> None:
    file = result_file(tmp_path, {"string_copy_50": 1.0}, metadata={"vocabulary": 2, "k": 10})
    (score,) = read_scores([file])
    assert random_answers(score) == RandomAnswers(1, (2,) * 10)


def test_forced_twins_have_bounds_and_running_text_has_none(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20_forced": 1.0, "c4_copy_25": 1.0})
    by_benchmark = {score.benchmark: score for score in read_scores([tmp_path])}
    assert capacities([by_benchmark["phone_book_forced"]])["model"].most_bits is not None
    assert capacities([by_benchmark["c4_copy"]])["model"].most_bits is None
    assert "recalled" not in capacity_table([by_benchmark["c4_copy"]])


def test_the_benchmarks_with_a_bound_are_those_in_the_document() -> None:
    text = (ROOT / "lm_eval_tasks/CAPACITY.md").read_text(encoding="utf-8")
    table = text.split("| benchmark | N | answers |")[1].split("| others |")[0]
    named = {name for line in table.splitlines() for name in re.findall("`(\\w+)`", line.partition(" | ")[0])}
    release = {config.benchmark.name: config.arguments for config in default_release().values()}
    assert named == {
        name
        for name, one in own_benchmarks().items()
        if one.random_answers is not None
        and one.random_answers({**one.defaults, **release[name]}) is not None
    }
