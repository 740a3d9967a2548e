"""Extracting and scoring generated answers: ``process_results`` functions of the benchmarks.

Each takes a document and lm-eval's results, the first of which is the generated text, and returns scores from
0 to 1. A benchmark names one of them, or its own function, as ``Evaluation.score``.
"""

import re
from typing import Any
from unicodedata import normalize

from lm_eval_tasks.metrics import squad_exact_match, squad_f1
from lm_eval_tasks.scoring import answer_scores, mean_scores

_END_OF_TEXT = "<|endoftext|>"


def first_line(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """The answer ends at the first newline and is stripped."""
    return answer_scores(results[0].split("\n", 1)[0].strip(), doc["answer"])


def first_lines(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """The mean scores of a document's questions; each answer ends at the first newline and is stripped."""
    pairs = zip(doc["answers"], results, strict=True)
    return mean_scores([first_line({"answer": answer}, [text]) for answer, text in pairs])


def bare_answer(doc: dict[str, Any]) -> str:
    """A space and the answer, without an ending."""
    return f" {doc['answer']}"


def forced_line(doc: dict[str, Any]) -> str:
    """The text that a forced task scores: a space, the answer, and the newline that ends it."""
    return f" {doc['answer']}\n"


def running_text(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """The answer ends at the first empty line; newlines become spaces.

    Composed and decomposed letters are equal: many tokenizers compose those of the prompt.
    """
    prediction = results[0].split("\n\n", 1)[0].replace("\n", " ").strip()
    return answer_scores(normalize("NFC", prediction), normalize("NFC", doc["answer"].strip()))


def paragraph_answer(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Exact match and F1 as in SQuAD; the answer ends at the first empty line or end-of-text marker."""
    prediction = results[0].split("\n\n", 1)[0].split(_END_OF_TEXT, 1)[0]
    return {
        "em": squad_exact_match(prediction, doc["answers"]),
        "f1": squad_f1(prediction, doc["answers"]),
        "unanswered": float(not prediction.strip()),
    }


def letters(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """The answer ends at the first newline or full stop; letters are compared, spaces are not.

    With a vocabulary of more than 26, letters are numbers, separated by spaces in every spelling.
    """
    prediction, answer = re.split(r"[\n.]", results[0], maxsplit=1)[0].strip(), doc["answer"]
    if doc["spelling"] == "spaced" or _has_numbers(answer):
        others: dict[str, str] = {}
        prediction, answer = (_one_character_each(text, others) for text in (prediction, answer))
    return answer_scores(prediction, answer)


def value(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """The answer is the first word. A model that was trained only on values does not stop after one."""
    prediction = (results[0].split() or [""])[0]
    return {"exact_match": float(prediction == doc["answer"]), "unanswered": float(not prediction)}


def forced_value(doc: dict[str, Any]) -> str:
    """The text that a forced task scores: a space, the value and, except in ``symbols``, a newline."""
    return f" {doc['answer']}" if doc["spelling"] == "symbols" else f" {doc['answer']}\n"


def _has_numbers(answer: str) -> bool:
    """Whether letters are written as numbers."""
    return any(symbol.isdigit() for symbol in answer)


def _one_character_each(text: str, others: dict[str, str]) -> str:
    """One character for each letter, so that the spaces of a spaced answer are not scored.

    Each word of more than one character is mapped to a character that is not used otherwise, recorded in
    ``others``, so that different texts stay different.
    """
    if not text:
        return text
    private = 0xF0000
    return "".join(
        part if len(part) == 1 else others.setdefault(part, chr(private + len(others)))
        for part in text.split(" ")
    )


def forced_letters(doc: dict[str, Any]) -> str:
    """The text that a forced task scores: the answer, spelled as in the prompt, and its ending.

    Numbers follow a space: otherwise, the first number and the symbol before it would form one word.
    """
    answer = doc["answer"]
    if doc["spelling"] != "symbols":
        return f" {answer}\n"
    return f" {answer}." if _has_numbers(answer) else f"{answer}."
