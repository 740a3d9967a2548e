"""What the YAML files of the phone book call."""

from typing import Any

from dataset_builders.phone_book import rows
from lm_eval_tasks.documents import Built
from lm_eval_tasks.metrics import char_accuracy, copied_fraction, exact_match


def documents(entries: int, num_docs: int = 500, seed: int = 0) -> Built:
    """The benchmark's documents of one size; see ``dataset_builders.phone_book.rows``."""
    return Built(rows(entries, num_docs, seed))


def generated(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Scores of a generated answer, which ends at the first newline and is stripped."""
    prediction = results[0].split("\n", 1)[0].strip()
    return {
        "exact_match": exact_match(prediction, doc["answer"]),
        "char_accuracy": char_accuracy(prediction, doc["answer"]),
        "copied_fraction": copied_fraction(prediction, doc["answer"]),
    }


def forced_target(doc: dict[str, Any]) -> str:
    """What the forced task scores: the answer, as it stands in the book, and the newline that ends it."""
    return f" {doc['answer']}\n"


def forced(doc: dict[str, Any], results: list[tuple[float, bool]]) -> dict[str, float]:
    """Scores of the answer in one pass: each of its tokens the likeliest, and their mean log-probability."""
    logprob, is_greedy = results[0]
    scores = {"exact_match": float(is_greedy)}
    if "answer_tokens" in doc:
        scores["logprob_per_token"] = logprob / doc["answer_tokens"]
    return scores
