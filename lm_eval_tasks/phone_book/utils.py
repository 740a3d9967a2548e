"""What the YAML files of the phone book call."""

from typing import Any

from dataset_builders.phone_book import rows
from lm_eval_tasks.scoring import answer_scores
from lm_eval_tasks.task_documents import Built


def documents(entries: int, num_docs: int = 500, seed: int = 0) -> Built:
    """The benchmark's documents of one size; see ``dataset_builders.phone_book.rows``."""
    return Built(rows(entries, num_docs, seed))


def generated(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Scores of a generated answer, which ends at the first newline and is stripped."""
    return answer_scores(results[0].split("\n", 1)[0].strip(), doc["answer"])


def forced_target(doc: dict[str, Any]) -> str:
    """What the forced task scores: the answer, as it stands in the book, and the newline that ends it."""
    return f" {doc['answer']}\n"
