"""Scoring functions shared by the tasks: pure functions of a document and lm-eval's results."""

from collections.abc import Mapping, Sequence
from typing import Any

from lm_eval_tasks.metrics import char_accuracy, copied_fraction, exact_match

UNBOUNDED = ("logprob_per_token", "nats_gained")
"""Scores that are not between 0 and 1; documents that do not fit the model's context window lack them."""

NAN_WARNING = (
    "some log-probabilities are not numbers (NaN), and these answers count as wrong; the model's weights or "
    "its logits contain NaN, as after training that diverged, or in a dtype with too small a range"
)


def answer_scores(prediction: str, answer: str) -> dict[str, float]:
    """The three scores of a generated answer, and ``unanswered``: whether it is empty."""
    return {
        "exact_match": exact_match(prediction, answer),
        "char_accuracy": char_accuracy(prediction, answer),
        "copied_fraction": copied_fraction(prediction, answer),
        "unanswered": float(not prediction),
    }


def forced(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Scores of a given answer: whether each token is the most likely one, and the mean log-probability.

    There is one result for each ending of the answer; the better one counts.
    """
    scores = {"exact_match": float(any(is_greedy for _, is_greedy in results))}
    if "answer_tokens" in doc:
        scores["logprob_per_token"] = max(
            logprob / tokens for (logprob, _), tokens in zip(results, doc["answer_tokens"], strict=True)
        )
    return scores


def forced_questions(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Scores of a document with several questions: the means over its questions.

    The results for all answers with their first ending come first, then those with the second ending.
    """
    count = len(doc["answers"])
    tokens = doc.get("answer_tokens")
    return mean_scores(
        [
            forced({} if tokens is None else {"answer_tokens": tokens[k::count]}, results[k::count])
            for k in range(count)
        ]
    )


def mean_scores(of_questions: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each score over a document's questions; the mean of ``exact_match`` is ``recall``."""
    means = {name: sum(one[name] for one in of_questions) / len(of_questions) for name in of_questions[0]}
    return {"recall": means.pop("exact_match"), **means}


def gain(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """By how much the queried item in the prompt increases the answer's log-probability.

    The first result is for the answer after the whole prompt, the second for the same answer after the prompt
    without the queried item.
    """
    (after_prompt, _), (without, _) = results
    scores = {"nats_gained": after_prompt - without}
    if "answer_tokens" in doc:
        scores["logprob_per_token"] = after_prompt / doc["answer_tokens"][0]
    return scores
