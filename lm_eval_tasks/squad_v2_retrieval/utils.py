"""What the YAML files of the SQuAD retrieval call."""

from typing import Any

from dataset_builders.sources.tokenizer import DEFAULT_TOKENIZER, load_tokenizer
from dataset_builders.squad_v2_retrieval import DEFAULT_SOURCE, rows
from lm_eval_tasks.metrics import squad_exact_match, squad_f1
from lm_eval_tasks.task_documents import Built

_END_OF_TEXT = "<|endoftext|>"


def documents(
    min_tokens: int,
    max_tokens: int | None,
    squad_source: str = DEFAULT_SOURCE,
    tokenizer: str = DEFAULT_TOKENIZER,
) -> Built:
    """The benchmark's documents of one range of lengths; see ``dataset_builders.squad_v2_retrieval.rows``."""
    built = rows(min_tokens, max_tokens, squad_source, tokenizer)
    return Built(built, {"tokenizer_sha256": load_tokenizer(tokenizer).sha256})


def generated(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Scores of a generated answer, which ends at the first empty line or end-of-text marker."""
    prediction = results[0].split("\n\n", 1)[0].split(_END_OF_TEXT, 1)[0]
    return {
        "em": squad_exact_match(prediction, doc["answers"]),
        "f1": squad_f1(prediction, doc["answers"]),
        "unanswered": float(not prediction.strip()),
    }
