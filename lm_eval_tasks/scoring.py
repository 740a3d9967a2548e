"""Scoring functions shared by the tasks: pure functions of a document and lm-eval's results."""

from typing import Any

from lm_eval_tasks.metrics import char_accuracy, copied_fraction, exact_match


def answer_scores(prediction: str, answer: str) -> dict[str, float]:
    """The three scores of a generated answer, and whether there is one at all."""
    return {
        "exact_match": exact_match(prediction, answer),
        "char_accuracy": char_accuracy(prediction, answer),
        "copied_fraction": copied_fraction(prediction, answer),
        "unanswered": float(not prediction),
    }


def forced(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Scores of the answer in one pass: each of its tokens the likeliest, and their mean log-probability.

    There is one result for each ending of the answer; the better one counts.
    """
    scores = {"exact_match": float(any(is_greedy for _, is_greedy in results))}
    if "answer_tokens" in doc:
        scores["logprob_per_token"] = max(
            logprob / tokens for (logprob, _), tokens in zip(results, doc["answer_tokens"], strict=True)
        )
    return scores
