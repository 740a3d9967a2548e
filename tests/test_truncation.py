"""Prompts that do not fit into the model's window: counted, warned of and scored as wrong."""

import logging

import pytest

from dataset_builders.phone_book import rows
from tests.evaluation import evaluate, scores
from tests.scripted import Scripted, look_up


def test_prompts_that_do_not_fit_are_counted_warned_of_and_wrong(caplog: pytest.LogCaptureFixture) -> None:
    documents = list(rows(20, 6, 0))
    lengths = sorted(len(row["prompt"]) for row in documents)
    window = lengths[3] + 50  # characters are tokens; the four shortest fit with 50 new tokens
    fit = sum(length + 50 <= window for length in lengths)
    with caplog.at_level(logging.WARNING):
        results = evaluate(Scripted(look_up, window), "phone_book_20", "phone_book_20_forced", num_docs=6)
    generated = scores(results, "phone_book_20")
    assert 0 < fit < 6
    assert generated["exact_match"] == generated["char_accuracy"] == fit / 6
    assert generated["truncated"] == pytest.approx(1 - fit / 6)
    (warning,) = [r.getMessage() for r in caplog.records if "do not fit" in r.getMessage()]
    assert f"phone_book_20: {6 - fit} of 6 prompts" in warning
    assert f"window of {window} tokens" in warning
    assert "max_length=" in warning
    # the forced twin needs 12 tokens for the answer, not 50
    assert scores(results, "phone_book_20_forced")["exact_match"] == 1.0


def test_forced_truncation_is_exact_to_the_token() -> None:
    row = next(rows(20, 1, 0))
    needed = len(row["prompt"]) + len(f" {row['answer']}\n")
    for window, truncated in ((needed, 0.0), (needed - 1, 1.0)):
        results = evaluate(Scripted(look_up, window), "phone_book_20_forced", num_docs=1)
        got = scores(results, "phone_book_20_forced")
        assert (got["truncated"], got["exact_match"]) == (truncated, 1.0 - truncated)
        assert ("logprob_per_token" in got) == (truncated == 0.0)


def test_a_model_without_a_window_is_scored_and_said_so(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        results = evaluate(Scripted(look_up, None), "phone_book_20", num_docs=2)
    assert scores(results, "phone_book_20")["exact_match"] == 1.0
    assert "truncated" not in scores(results, "phone_book_20")
    assert any(
        "does not know this model's context window" in record.getMessage() for record in caplog.records
    )


@pytest.mark.parametrize("window", [5, 50])
def test_a_window_smaller_than_the_answer_holds_no_document(window: int) -> None:
    results = evaluate(Scripted(look_up, window), "phone_book_20", "phone_book_20_forced", num_docs=2)
    for task in ("phone_book_20", "phone_book_20_forced"):
        assert scores(results, task)["truncated"] == 1.0
        assert scores(results, task)["exact_match"] == 0.0
    (sample, _) = results["samples"]["phone_book_20"]
    assert sample["arguments"][0][1]["max_gen_toks"] == 1
