"""What the YAML files of the string tasks call."""

import re
from typing import Any

from dataset_builders.string_tasks.documents import rows
from lm_eval_tasks.scoring import answer_scores
from lm_eval_tasks.task_documents import Built

DEFAULT_SPELLING = "spaced"


def copy(
    length: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = DEFAULT_SPELLING,
    vocabulary: int = 26,
    k: int | None = None,
) -> Built:
    """Documents of ``string_copy``; see ``dataset_builders.string_tasks.documents.rows``."""
    return Built(rows("copy", length, num_docs, seed, spelling, vocabulary=vocabulary, settings={"k": k}))


def prefix_ngram(
    length: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = DEFAULT_SPELLING,
    vocabulary: int = 26,
    n: int = 3,
    k: int | None = None,
) -> Built:
    """Documents of ``string_prefix_ngram``."""
    return Built(
        rows(
            "prefix_ngram", length, num_docs, seed, spelling, vocabulary=vocabulary, settings={"n": n, "k": k}
        )
    )


def suffix_ngram(
    length: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = DEFAULT_SPELLING,
    vocabulary: int = 26,
    n: int = 3,
    k: int | None = None,
) -> Built:
    """Documents of ``string_suffix_ngram``."""
    return Built(
        rows(
            "suffix_ngram", length, num_docs, seed, spelling, vocabulary=vocabulary, settings={"n": n, "k": k}
        )
    )


def duplicate_ngram(
    length: int,
    num_docs: int = 500,
    seed: int = 0,
    spelling: str = DEFAULT_SPELLING,
    vocabulary: int = 26,
    n: int = 3,
) -> Built:
    """Documents of ``string_duplicate_ngram``."""
    return Built(
        rows("duplicate_ngram", length, num_docs, seed, spelling, vocabulary=vocabulary, settings={"n": n})
    )


def generated(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Scores of a generated answer, which ends at the first newline or full stop and is stripped."""
    prediction = _letters(re.split(r"[\n.]", results[0], maxsplit=1)[0].strip(), doc["spelling"])
    return answer_scores(prediction, _letters(doc["answer"], doc["spelling"]))


def _letters(text: str, spelling: str) -> str:
    """One character a letter, so that a spaced answer gets nothing for its spaces.

    What stands between two spaces and is not one character is a wrong letter: no two texts that differ
    give the letters of an answer.
    """
    if spelling != "spaced" or not text:
        return text
    return "".join(part if len(part) == 1 else "?" for part in text.split(" "))


def forced_target(doc: dict[str, Any]) -> str:
    """What the forced task scores: the answer, spelled as in the prompt, and what ends it."""
    return f"{doc['answer']}." if doc["spelling"] == "symbols" else f" {doc['answer']}\n"
