"""The string tasks: samples against plain loops, distributions against enumeration, scores against rules."""

import json
from collections import Counter
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.checksum import content_sha256
from dataset_builders.release.checksums import known_checksums
from dataset_builders.string_benchmarks import BENCHMARKS
from dataset_builders.string_documents import COLUMNS, SPELLINGS, rows
from dataset_builders.strings import LOOKUPS, PAD, TASKS, Definition, Sample, sample, uniform
from lm_eval_tasks import TASKS_FOLDER, answers
from tests.conftest import Run
from tests.scripted import Rule, Scripted
from tests.test_tasks import evaluate, scores


def draw(definition: Definition, count: int, key: int = 0) -> Sample:
    return sample(definition, count, np.random.Philox(key=key))


def spelled(drawn: Sample, index: int) -> str:
    return "".join(chr(ord("a") + letter) for letter in drawn.letters[index] if letter != PAD)


# ---- samples against plain loops


def places_of(key: str, string: str) -> list[int]:
    return [i for i in range(len(string) - len(key) + 1) if string[i : i + len(key)] == key]


def valid_places(string: str, n: int, k: int | None) -> list[int]:
    """Where an n-gram stands that stands once, with k letters, or one, after it."""
    last = len(string) - n - (k or 1)
    return [i for i in range(last + 1) if len(places_of(string[i : i + n], string)) == 1]


def check_example(definition: Definition, drawn: Sample, index: int) -> None:
    string = spelled(drawn, index)
    assert len(string) == drawn.lengths[index]
    assert definition.min_length <= len(string) <= definition.max_length
    assert set(string) <= set("abcdefghijklmnopqrstuvwxyz"[: definition.vocabulary])
    at, again = int(drawn.key_at[index]), int(drawn.again_at[index])
    answer = string[drawn.answer_at[index] : drawn.answer_end[index]]
    expected = string
    if definition.name in LOOKUPS:
        assert at in valid_places(string, definition.n, definition.k)
        expected = string[at + definition.n :]
    elif definition.name == "duplicate_ngram":
        assert {at, again} <= set(places_of(string[at : at + definition.n], string))
        assert abs(at - again) >= definition.n
    assert (at == -1) == (definition.name == "copy")
    assert (again == -1) == (definition.name != "duplicate_ngram")
    assert answer == expected[: definition.k]
    assert len(answer) == (definition.k or len(expected)) > 0


@st.composite
def definitions(draw_from: st.DrawFn, task: str) -> Definition:
    n = draw_from(st.integers(2, 5))
    k = None if task == "duplicate_ngram" else draw_from(st.none() | st.integers(1, 6))
    least = {"copy": k or 1, "duplicate_ngram": 2 * n}.get(task, n + (k or 1))
    shortest = draw_from(st.integers(least, least + 12))
    return Definition(
        task,
        shortest,
        shortest + draw_from(st.integers(0, 12)),
        vocabulary=draw_from(st.integers(3, 26)),
        n=n,
        k=k,
    )


@pytest.mark.parametrize("task", TASKS)
@settings(deadline=None)
@given(data=st.data(), key=st.integers(0, 2**128 - 1), count=st.integers(1, 20))
def test_a_sample_is_what_plain_loops_find(task: str, data: st.DataObject, key: int, count: int) -> None:
    definition = data.draw(definitions(task))
    drawn = draw(definition, count, key)
    assert drawn.letters.shape == (count, definition.max_length)
    for index in range(count):
        check_example(definition, drawn, index)


@pytest.mark.parametrize(
    "definition",
    [
        Definition("prefix_ngram", 2, 2, vocabulary=2, n=1),
        Definition("suffix_ngram", 5, 40, vocabulary=2, n=4),
        Definition("prefix_ngram", 14, 20, n=13),
        Definition("suffix_ngram", 63, 70, vocabulary=2, n=62),
        Definition("prefix_ngram", 100, 100, n=1, k=5),
        Definition("duplicate_ngram", 2, 2, vocabulary=2, n=1),
        Definition("duplicate_ngram", 26, 30, n=13),
        Definition("copy", 1, 1, vocabulary=1),
    ],
    ids=lambda d: f"{d.name}-{d.vocabulary}-{d.n}-{d.max_length}",
)
def test_samples_at_the_edges(definition: Definition) -> None:
    drawn = draw(definition, 50)
    for index in range(50):
        check_example(definition, drawn, index)


# ---- distributions


def chi_square_bound(cells: int) -> float:
    """Far in the tail: the mean of the statistic and 6 standard deviations."""
    return cells - 1 + 6 * (2 * (cells - 1)) ** 0.5


def chi_square(counts: Counter[Any], expected: dict[Any, float]) -> float:
    assert set(counts) <= set(expected)
    return sum((counts[cell] - mean) ** 2 / mean for cell, mean in expected.items())


@pytest.mark.parametrize("task", TASKS)
def test_lengths_are_uniform(task: str) -> None:
    drawn = draw(Definition(task, 6, 15, vocabulary=2), 10_000)
    counts = Counter(drawn.lengths.tolist())
    assert chi_square(counts, dict.fromkeys(range(6, 16), 1000)) < chi_square_bound(10)


def test_letters_are_uniform_at_every_place() -> None:
    drawn = draw(Definition("copy", 4, 4), 26_000)
    for place in range(4):
        counts = Counter(drawn.letters[:, place].tolist())
        assert chi_square(counts, dict.fromkeys(range(26), 1000)) < chi_square_bound(26)
    pairs = Counter(zip(drawn.letters[:, 0].tolist(), drawn.letters[:, 1].tolist(), strict=True))
    assert chi_square(pairs, dict.fromkeys(product(range(26), repeat=2), 26000 / 676)) < chi_square_bound(676)


@pytest.mark.parametrize("task", LOOKUPS)
@pytest.mark.parametrize(("vocabulary", "length", "n", "k"), [(2, 4, 2, None), (2, 5, 1, 2), (3, 5, 2, 1)])
def test_strings_and_places_are_as_enumerated(
    task: str, vocabulary: int, length: int, n: int, k: int | None
) -> None:
    strings = ["".join(letters) for letters in product("abc"[:vocabulary], repeat=length)]
    valid = {string: valid_places(string, n, k) for string in strings}
    possible = [string for string in strings if valid[string]]
    assert len(possible) < len(strings)
    count = 400 * len(possible)
    expected = {(string, place): 400 / len(valid[string]) for string in possible for place in valid[string]}
    drawn = draw(Definition(task, length, length, vocabulary, n, k), count)
    counts = Counter((spelled(drawn, i), int(drawn.key_at[i])) for i in range(count))
    assert chi_square(counts, expected) < chi_square_bound(len(expected))


def test_duplicates_are_as_enumerated() -> None:
    n, length = 2, 5
    made: Counter[tuple[str, int, int]] = Counter()
    for letters in product("ab", repeat=length):
        string = "".join(letters)
        for at, again in product(range(length - n + 1), repeat=2):
            key = string[at : at + n]
            if abs(at - again) >= n and key != string[again : again + n]:
                made[string[:again] + key + string[again + n :], at, again] += 1
    total = sum(made.values())
    count = 200 * len(made)
    drawn = draw(Definition("duplicate_ngram", length, length, vocabulary=2, n=n), count)
    counts = Counter((spelled(drawn, i), int(drawn.key_at[i]), int(drawn.again_at[i])) for i in range(count))
    expected = {case: count * times / total for case, times in made.items()}
    assert chi_square(counts, expected) < chi_square_bound(len(expected))


def test_raw_bits_are_scaled_as_documented() -> None:
    raw = np.random.Philox(key=7).random_raw(1000)
    bounds = np.arange(1, 1001)
    expected = [(int(bits) >> 32) * bound >> 32 for bits, bound in zip(raw, bounds.tolist(), strict=True)]
    assert uniform(np.random.Philox(key=7), bounds, (1000,)).tolist() == expected
    assert np.random.Philox(key=5).random_raw() == 13535223855206698129  # the same in every version of NumPy


# ---- documents


def solve(prompt: str, spelling: str, task: str, k: int | None = None) -> str:
    """The perfect continuation of a prompt, with what ends the answer."""
    query = prompt.rsplit("\n", 1)[-1]
    if spelling == "symbols":
        fields = query.removeprefix("$").split("|")
    else:
        fields = query.removesuffix(" ->").replace(" ", "").split("|")
    string = fields[1] if task == "prefix_ngram" else fields[0]
    key = {"prefix_ngram": fields[0], "suffix_ngram": fields[-1]}.get(task, "")
    answer = string.split(key, 1)[1] if key else string
    answer = answer[:k]
    if spelling == "symbols":
        return answer + "."
    return f" {' '.join(answer) if spelling == 'spaced' else answer}\n"


def examples_in(prompt: str) -> list[tuple[str, str]]:
    """The worked examples of a prompt: each question, ending in an arrow, and what follows it."""
    lines = prompt.split("\n")[:-1]
    return [(line[: line.index("->") + 2], line[line.index("->") + 2 :] + "\n") for line in lines]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("task", TASKS)
@given(length=st.integers(10, 40), seed=st.integers(-(2**70), 2**70), k=st.none() | st.integers(1, 5))
@settings(deadline=None, max_examples=15)
def test_a_document_asks_what_its_prompt_says(
    task: str, spelling: str, length: int, seed: int, k: int | None
) -> None:
    k = None if task == "duplicate_ngram" else k
    for index, row in enumerate(rows(task, length, 4, seed, spelling, k=k)):
        assert tuple(row) == COLUMNS
        assert row["id"] == f"string_{task}_{length}/seed_{seed}/{index}"
        assert row["length"] == length
        assert len(row["key"]) == (0 if task == "copy" else 3)
        assert answers.forced_letters(row) == solve(row["prompt"], spelling, task, k)
        assert row["answer"] == answers.forced_letters(row).strip(" \n.")
        shown = examples_in(row["prompt"])
        assert len(shown) == (0 if spelling == "symbols" else 2)
        for question, answer in shown:
            assert solve(question, spelling, task, k) == answer


def test_the_spellings_as_documented() -> None:
    asked = {
        (task, spelling): next(rows(task, 8, 1, 0, spelling)) for task in TASKS for spelling in SPELLINGS
    }
    patterns = {
        "copy": "${s}|",
        "prefix_ngram": "${g}|{s}|",
        "suffix_ngram": "${s}|{g}",
        "duplicate_ngram": "${s}|",
    }
    for task, pattern in patterns.items():
        plain = asked[task, "plain"]
        fields = plain["prompt"].split("\n")[-1].removesuffix(" ->").split(" | ")
        string = max(fields, key=len)
        symbols = asked[task, "symbols"]
        assert symbols["prompt"] == pattern.format(s=string, g=symbols["key"])
        assert symbols["answer"] == plain["answer"]
        spaced = asked[task, "spaced"]
        assert spaced["answer"] == " ".join(plain["answer"])
        lines = [line.replace(" ", "") for line in spaced["prompt"].split("\n")]
        assert lines == [line.replace(" ", "") for line in plain["prompt"].split("\n")]
        assert "  " not in spaced["prompt"] + plain["prompt"]


@given(task=st.sampled_from(TASKS), count=st.integers(1, 300), more=st.integers(0, 300))
@settings(deadline=None, max_examples=15)
def test_more_documents_change_none(task: str, count: int, more: int) -> None:
    few = list(rows(task, 8, count, 3, "plain"))
    assert list(rows(task, 8, count + more, 3, "plain"))[:count] == few


def test_documents_differ_between_tasks_lengths_seeds_arguments_and_blocks() -> None:
    def strings(task: str, length: int, seed: int, **arguments: Any) -> list[str]:
        return [row["prompt"][:8] for row in rows(task, length, 1, seed, "symbols", **arguments)]

    made = [
        *(strings("copy", length, seed) for length in (20, 21) for seed in (0, 1)),
        strings("duplicate_ngram", 20, 0),
        *(strings("suffix_ngram", 20, 0, **more) for more in ({}, {"n": 4}, {"k": 2}, {"vocabulary": 25})),
    ]
    assert len({string for (string,) in made}) == len(made)
    prompts = [row["prompt"] for row in rows("copy", 20, 1000, 0, "spaced")]
    lines = [line for prompt in prompts for line in prompt.replace(" ->", " -> ").split("\n")]
    assert len({line.split(" -> ")[0] for line in lines}) == 3000


def test_the_same_in_another_process_and_order(run: Run) -> None:
    code = (
        "import json; from dataset_builders.string_documents import rows;"
        "made = {n: list(rows('suffix_ngram', n, 300, 5, 'spaced')) for n in (60, 20)};"
        "print(json.dumps([made[20], made[60]]))"
    )
    expected = [list(rows("suffix_ngram", n, 300, 5, "spaced")) for n in (20, 60)]
    for hash_seed in ("1", "2"):
        result = run("-c", code, PYTHONHASHSEED=hash_seed)
        assert result.returncode == 0, result.stderr
        assert json.loads(result.stdout) == expected


def test_the_released_checksums_are_those_of_the_documents() -> None:
    for benchmark in BENCHMARKS:
        assert tuple(benchmark.columns) == COLUMNS
        for config in benchmark.configs():
            documents = list(benchmark.builder(**config.arguments))
            assert len(documents) == 500
            assert content_sha256(documents) == known_checksums()[config.name]


def test_the_documents_in_the_readme_are_the_first_ones() -> None:
    readme = (TASKS_FOLDER / "strings" / "README.md").read_text()
    for spelling in SPELLINGS:
        row = next(rows("suffix_ngram", 20, 1, 0, spelling))
        assert f"```\n{row['prompt']}\n```" in readme
        assert f"{row['answer']}`" in readme


# ---- refusals


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cpy", 5, 5), "must be one of copy, prefix_ngram, suffix_ngram, duplicate_ngram, not 'cpy'"),
        (("copy", 0, 5), "min_length must be an integer of at least 1, not 0"),
        (("copy", 5, 4), "max_length must be an integer of at least 5, not 4"),
        (("copy", 5.0, 5), "not 5.0"),
        (("copy", 5, 10_001), "max_length must be at most 10000"),
        (("copy", 5, 5, 0), "vocabulary must be an integer of at least 1, not 0"),
        (("copy", 5, 5, 27), "vocabulary must be at most 26, not 27"),
        (("copy", 5, 5, True), "not True"),
        (("copy", 5, 9, 26, 3, 6), "copy with k = 6 needs strings of at least 6 letters, not 5"),
        (("copy", 5, 5, 26, 3, 0), "k must be an integer of at least 1, not 0"),
        (("prefix_ngram", 5, 5, 26, 0), "n must be an integer of at least 1, not 0"),
        (("prefix_ngram", 5, 5, 26, 5), "n = 5 and k = None needs strings of at least 6 letters, not 5"),
        (("suffix_ngram", 5, 5, 26, 3, 3), "n = 3 and k = 3 needs strings of at least 6 letters, not 5"),
        (("suffix_ngram", 5, 5, 26, 6), "at least 7 letters, not 5"),
        (("suffix_ngram", 50, 50, 26, 14), "n-grams of 14 do not fit in 64 bits"),
        (("prefix_ngram", 5, 5, 1), "vocabulary of at least 2"),
        (("duplicate_ngram", 9, 9, 1), "vocabulary of at least 2"),
        (("duplicate_ngram", 5, 5), "at least 6 letters, not 5"),
        (("duplicate_ngram", 9, 9, 26, 3, 2), "asks for the whole string: k must be None, not 2"),
    ],
)
def test_a_definition_that_cannot_be_is_refused(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Definition(*arguments)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("copy", "20", 1, 0, "plain"), "length must be an integer of at least 1, not '20'"),
        (("copy", 20, 0, 0, "plain"), "num_docs must be an integer of at least 1, not 0"),
        (("copy", 20, 1, 0.5, "plain"), "seed must be an integer, not 0.5"),
        (("copy", 20, 1, 0, "loud"), "spelling must be one of symbols, plain, spaced, not 'loud'"),
        (("duplicate_ngram", 5, 1, 0, "plain"), "needs strings of at least 6 letters, not 5"),
    ],
)
def test_documents_that_cannot_be_are_refused_at_once(arguments: tuple[Any, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        rows(*arguments)


@pytest.mark.parametrize(("shortest", "vocabulary", "n"), [(500, 26, 1), (100, 2, 2), (4, 2, 1)])
def test_a_search_without_end_is_ended(shortest: int, vocabulary: int, n: int) -> None:
    with pytest.raises(InputError, match=r"of \d+ strings of \d+ to 500 letters, \d+ hold an n-gram"):
        draw(Definition("suffix_ngram", shortest, 500, vocabulary, n), 20)


@pytest.mark.parametrize(
    ("task", "metadata", "said"),
    [
        ("string_copy_20", {"spellin": "plain"}, "unknown metadata key 'spellin'; did you mean 'spelling'"),
        ("string_copy_20", {"length": 30}, "'length' is 20 in this task"),
        ("string_copy_n", {}, "give 'length', as in --metadata"),
        ("string_suffix_ngram_n_forced", {"length": 500, "n": 1}, "hold an n-gram of n = 1"),
        ("string_prefix_ngram_20", {"spelling": "Plain"}, "not 'Plain'"),
    ],
)
def test_bad_metadata_is_refused_in_a_sentence(task: str, metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=f"^{task}: .*{said}"):
        evaluate(Scripted(str), task, **metadata)


# ---- scores


Spoil = Callable[[str], str]


def spoilt(spoil: Spoil, spelling: str, task: str) -> Rule:
    return lambda prompt: spoil(solve(prompt, spelling, task))


def last_letter_wrong(answer: str) -> str:
    place = len(answer) - 2
    return answer[:place] + ("b" if answer[place] == "a" else "a") + answer[place + 1 :]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("task", TASKS)
def test_a_perfect_model_is_perfect(task: str, spelling: str) -> None:
    name = f"string_{task}_20"
    rule = spoilt(lambda answer: answer, spelling, task)
    results = evaluate(Scripted(rule), name, f"{name}_forced", num_docs=5, spelling=spelling)
    generated, forced = scores(results, name), scores(results, f"{name}_forced")
    assert all(generated[key] == 1.0 for key in ("exact_match", "char_accuracy", "copied_fraction"))
    assert generated["truncated"] == forced["truncated"] == 0.0
    assert forced["exact_match"] == 1.0
    assert forced["logprob_per_token"] == -1.0


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    ("spoil", "exact", "letters", "copied", "forced"),
    [
        (last_letter_wrong, 0.0, 0.95, 0.95, 0.0),
        (lambda answer: answer[:-1], 1.0, 1.0, 1.0, 0.0),
        (lambda answer: answer + "abc\n", 1.0, 1.0, 1.0, 1.0),
        (lambda answer: " " + answer, 1.0, 1.0, 1.0, 0.0),
        (lambda answer: answer.upper(), 0.0, 0.0, 0.0, 0.0),
        (lambda answer: "", 0.0, 0.0, 0.0, 0.0),
    ],
    ids=["last-letter", "no-end", "goes-on", "another-space", "capitals", "silent"],
)
def test_a_rule_gets_the_score_that_it_should(
    spelling: str, spoil: Spoil, exact: float, letters: float, copied: float, forced: float
) -> None:
    rule = spoilt(spoil, spelling, "copy")
    names = ("string_copy_20", "string_copy_20_forced")
    results = evaluate(Scripted(rule), *names, num_docs=4, spelling=spelling)
    generated = scores(results, names[0])
    assert generated["exact_match"] == exact
    assert generated["char_accuracy"] == pytest.approx(letters)
    assert generated["copied_fraction"] == pytest.approx(copied)
    assert scores(results, names[1])["exact_match"] == forced


@pytest.mark.parametrize(
    ("spelling", "answer", "prediction", "exact", "letters", "copied"),
    [
        ("spaced", "a b c", " a b c", 1.0, 1.0, 1.0),
        ("spaced", "a b c", "abc", 0.0, 0.0, 0.0),
        ("spaced", "a b c", "a-b-c", 0.0, 0.0, 0.0),
        ("spaced", "a b c", "a  b c", 0.0, 1 / 4, 1 / 3),
        ("spaced", "a b c", "x y z", 0.0, 0.0, 0.0),
        ("spaced", "a b c", "a b c d", 0.0, 3 / 4, 1.0),
        ("spaced", "a", "?", 0.0, 0.0, 0.0),
        ("plain", "abc", " abc. More", 1.0, 1.0, 1.0),
        ("plain", "abc", "a b c", 0.0, 1 / 5, 1 / 3),
        ("plain", "abc", "abcabc", 0.0, 1 / 2, 1.0),
        ("symbols", "abc", "abd.abc", 0.0, 2 / 3, 2 / 3),
        ("symbols", "abc", "", 0.0, 0.0, 0.0),
    ],
)
def test_generated_answers_in_a_table(
    spelling: str, answer: str, prediction: str, exact: float, letters: float, copied: float
) -> None:
    got = answers.letters({"answer": answer, "spelling": spelling}, [prediction])
    assert got.pop("unanswered") == float(not prediction)
    assert got == pytest.approx({"exact_match": exact, "char_accuracy": letters, "copied_fraction": copied})


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_there_is_room_for_the_answer_and_hardly_more(spelling: str) -> None:
    row = next(rows("copy", 500, 1, 0, spelling))
    needed = len(row["prompt"]) + len(f" {row['answer']}") + 10
    for window, truncated in ((needed, 0.0), (needed - 1, 1.0)):
        lm = Scripted(spoilt(lambda answer: answer, spelling, "copy"), window)
        results = evaluate(lm, "string_copy_500", num_docs=1, spelling=spelling)
        got = scores(results, "string_copy_500")
        assert (got["truncated"], got["exact_match"]) == (truncated, 1.0 - truncated)


def test_any_length_and_what_the_results_say() -> None:
    rule = spoilt(lambda answer: answer, "spaced", "suffix_ngram")
    results = evaluate(Scripted(rule), "string_suffix_ngram_n", length=33, num_docs=2, n=4, k=None)
    assert scores(results, "string_suffix_ngram_n")["exact_match"] == 1.0
    metadata = results["configs"]["string_suffix_ngram_n"]["metadata"]
    said = {key: metadata[key] for key in ("benchmark", "unit", "length", "spelling", "n", "k", "vocabulary")}
    assert said == {
        "benchmark": "string_suffix_ngram",
        "unit": "letters",
        "length": 33,
        "spelling": "spaced",
        "n": 4,
        "k": None,
        "vocabulary": 26,
    }


@pytest.mark.parametrize("task", TASKS)
def test_a_group_is_the_mean_over_its_lengths(task: str) -> None:
    perfect = spoilt(lambda answer: answer, "symbols", task)

    def short_alone(prompt: str) -> str:
        return perfect(prompt) if len(prompt) < 30 else ""

    groups = (f"string_{task}", f"string_{task}_forced")
    results = evaluate(Scripted(short_alone), *groups, num_docs=2, spelling="symbols")
    expected = 2 / 6 if task == "copy" else 1 / 4
    for group in groups:
        assert scores(results, group)["exact_match"] == pytest.approx(expected)
