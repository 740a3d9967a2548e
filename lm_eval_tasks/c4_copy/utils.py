"""What the YAML files of the copies of running text call."""

from typing import Any

from dataset_builders.c4_copy import DEFAULT_SOURCE, pool, rows
from dataset_builders.sources.tokenizer import DEFAULT_TOKENIZER
from lm_eval_tasks.scoring import answer_scores
from lm_eval_tasks.task_documents import Built


def documents(
    tokens: int,
    order: str = "standard",
    num_docs: int = 500,
    seed: int = 0,
    source: str = DEFAULT_SOURCE,
    tokenizer: str = DEFAULT_TOKENIZER,
) -> Built:
    """The benchmark's documents of one length and order; see ``dataset_builders.c4_copy.rows``."""
    documents = rows(tokens, order, num_docs, seed, source, tokenizer)
    return Built(documents, pool(source, tokenizer).provenance)


def generated(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Scores of a generated answer: it ends at the first empty line, newlines count as spaces."""
    prediction = results[0].split("\n\n", 1)[0].replace("\n", " ").strip()
    return answer_scores(prediction, doc["answer"].strip())
