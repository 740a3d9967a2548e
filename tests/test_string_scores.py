"""Scores of the string tasks in lm-eval, for known answers."""

from collections.abc import Callable
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.string_tasks.documents import SPELLINGS, rows
from lm_eval_tasks import answers
from tests.evaluation import evaluate, scores
from tests.scripted import Rule, Scripted
from tests.string_examples import NAMES, solve

Spoil = Callable[[str], str]


def spoilt(spoil: Spoil, spelling: str, task: str) -> Rule:
    return lambda prompt: spoil(solve(prompt, spelling, task))


def last_letter_wrong(answer: str) -> str:
    place = len(answer) - 2
    return answer[:place] + ("b" if answer[place] == "a" else "a") + answer[place + 1 :]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("task", NAMES)
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
        ("spaced", "305 7", " 305 7", 1.0, 1.0, 1.0),
        ("spaced", "305 7", "306 7", 0.0, 1 / 2, 0.0),
        ("symbols", "305 7", "305 17 .", 0.0, 1 / 2, 1 / 2),
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
    unanswered = float(not prediction)
    assert got == pytest.approx(
        {
            "exact_match": exact,
            "char_accuracy": letters,
            "copied_fraction": copied,
            "unanswered": unanswered,
        }
    )


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


@pytest.mark.parametrize("task", NAMES)
def test_a_group_is_the_mean_over_its_lengths(task: str) -> None:
    perfect = spoilt(lambda answer: answer, "symbols", task)

    def short_alone(prompt: str) -> str:
        return perfect(prompt) if len(prompt) < 30 else ""

    groups = (f"string_{task}", f"string_{task}_forced")
    results = evaluate(Scripted(short_alone), *groups, num_docs=2, spelling="symbols")
    expected = 2 / 6 if task in ("copy", "reverse") else 1 / 4
    for group in groups:
        assert scores(results, group)["exact_match"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("task", "metadata", "message"),
    [
        (
            "string_copy_20",
            {"spellin": "plain"},
            "metadata key 'spellin'; .*; did you mean 'spelling'",
        ),
        ("string_copy_20", {"length": 30}, "'length' is 20 in this task"),
        ("string_copy_n", {}, "pass 'length', as in --metadata"),
        ("string_suffix_ngram_n_forced", {"length": 500, "n": 1}, "contain an n-gram of n = 1"),
        ("string_prefix_ngram_20", {"spelling": "Plain"}, "not 'Plain'"),
    ],
)
def test_bad_metadata_is_refused_in_a_sentence(task: str, metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=f"^{task}: .*{message}"):
        evaluate(Scripted(str), task, **metadata)
