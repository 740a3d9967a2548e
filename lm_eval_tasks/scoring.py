"""What the tasks' ``process_results`` share: pure functions of a document and lm-eval's results."""

from typing import Any

from lm_eval_tasks.metrics import char_accuracy, copied_fraction, exact_match


def answer_scores(prediction: str, answer: str) -> dict[str, float]:
    """The three scores of a generated answer."""
    return {
        "exact_match": exact_match(prediction, answer),
        "char_accuracy": char_accuracy(prediction, answer),
        "copied_fraction": copied_fraction(prediction, answer),
    }


def forced(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Scores of the answer in one pass: each of its tokens the likeliest, and their mean log-probability."""
    logprob, is_greedy = results[0]
    scores = {"exact_match": float(is_greedy)}
    if "answer_tokens" in doc:
        scores["logprob_per_token"] = logprob / doc["answer_tokens"]
    return scores
