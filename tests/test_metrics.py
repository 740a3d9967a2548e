"""Scores of generated and forced answers, for known cases and as properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lm_eval_tasks.answers import first_line as generated
from lm_eval_tasks.answers import forced_line as forced_target
from lm_eval_tasks.answers import forced_value, value
from lm_eval_tasks.metrics import char_accuracy, copied_fraction, exact_match
from lm_eval_tasks.scoring import forced, forced_questions

ANSWER = "6123456789"


@pytest.mark.parametrize(
    ("prediction", "answer", "exact", "letters"),
    [
        (ANSWER, ANSWER, 1.0, 1.0),
        ("6123456780", ANSWER, 0.0, 0.9),
        ("612345678", ANSWER, 0.0, 0.9),
        (ANSWER + "0", ANSWER, 0.0, 10 / 11),
        ("x" + ANSWER, ANSWER, 0.0, 0.0),
        ("", ANSWER, 0.0, 0.0),
        ("", "", 1.0, 1.0),
        ("é", "é", 1.0, 1.0),
    ],
)
def test_scores(prediction: str, answer: str, exact: float, letters: float) -> None:
    assert exact_match(prediction, answer) == exact
    assert char_accuracy(prediction, answer) == pytest.approx(letters)


@given(st.text(), st.text())
def test_scores_agree_on_what_is_perfect(a: str, b: str) -> None:
    assert exact_match(a, b) in (0.0, 1.0)
    assert 0.0 <= char_accuracy(a, b) <= 1.0
    assert (char_accuracy(a, b) == 1.0) == (exact_match(a, b) == 1.0) == (a == b)
    assert char_accuracy(a, b) == char_accuracy(b, a)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        (f" {ANSWER}\n", 1.0),
        (f"{ANSWER}", 1.0),
        (f"  {ANSWER}\t\nJoe Doe: 7", 1.0),
        (f"\n{ANSWER}", 0.0),
        (f" {ANSWER} is the number", 0.0),
        (f" {ANSWER}.", 0.0),
        ("", 0.0),
    ],
)
def test_a_generated_number_ends_at_the_first_newline(text: str, exact: float) -> None:
    assert generated({"answer": ANSWER}, [text])["exact_match"] == exact


def test_forced_scores() -> None:
    document = {"answer": ANSWER, "answer_tokens": [4]}
    assert forced_target(document) == " 6123456789\n"
    assert forced(document, [(-2.0, True)]) == {"exact_match": 1.0, "logprob_per_token": -0.5}
    assert forced({"answer": ANSWER}, [(-2.0, False)]) == {"exact_match": 0.0}


@pytest.mark.parametrize(
    ("results", "exact", "logprob"),
    [
        ([(-2.0, True), (-30.0, False)], 1.0, -0.5),
        ([(-20.0, False), (-3.0, True)], 1.0, -1.0),
        ([(-20.0, False), (-30.0, False)], 0.0, -5.0),
    ],
)
def test_the_better_of_two_endings_counts(results: list, exact: float, logprob: float) -> None:
    assert forced({"answer_tokens": [4, 3]}, results) == {"exact_match": exact, "logprob_per_token": logprob}


def test_each_question_has_its_own_tokens_and_endings() -> None:
    """Two questions with two endings each: the first ending of both, then the second of both."""
    document = {"answers": ["a", "b"], "answer_tokens": [2, 4, 3, 5]}
    results = [(-2.0, True), (-8.0, False), (-9.0, False), (-5.0, False)]
    assert forced_questions(document, results) == {"recall": 0.5, "logprob_per_token": -1.0}
    assert forced_questions({"answers": ["a", "b"]}, results) == {"recall": 0.5}


def test_the_first_word_is_the_value() -> None:
    scores = [value({"answer": "5002"}, [text]) for text in (" 5002 77\n", " 77 5002", " \n")]
    assert [one["exact_match"] for one in scores] == [1.0, 0.0, 0.0]
    assert [one["unanswered"] for one in scores] == [0.0, 0.0, 1.0]


def test_values_end_in_a_newline_except_in_symbols() -> None:
    texts = [forced_value({"answer": "5002", "spelling": spelling}) for spelling in ("symbols", "spaced")]
    assert texts == [" 5002", " 5002\n"]


@pytest.mark.parametrize(("text", "unanswered"), [("", 1.0), (" \n6", 1.0), ("\n\n6", 1.0), (" 6", 0.0)])
def test_an_empty_answer_is_no_answer(text: str, unanswered: float) -> None:
    assert generated({"answer": ANSWER}, [text])["unanswered"] == unanswered


@pytest.mark.parametrize(
    ("prediction", "answer", "share"),
    [
        ("abcd", "abcd", 1.0),
        ("abxd", "abcd", 0.5),
        ("xbcd", "abcd", 0.0),
        ("ab", "abcd", 0.5),
        ("abcdefgh", "abcd", 1.0),
        ("", "abcd", 0.0),
        ("x", "", 1.0),
    ],
)
def test_copied_fraction_stops_at_the_first_error(prediction: str, answer: str, share: float) -> None:
    assert copied_fraction(prediction, answer) == share
