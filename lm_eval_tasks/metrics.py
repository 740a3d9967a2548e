"""Scores of one answer: pure functions of strings, each between 0 and 1."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_MARKS = string.punctuation + "\u2018\u2019\u00b4"  # quotes and an accent; the backquote is among the first
_TO_SPACES = str.maketrans(dict.fromkeys(_MARKS, " "))
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def exact_match(prediction: str, answer: str) -> float:
    """1.0 where the strings are equal, else 0.0 (the paper's string-level accuracy)."""
    return float(prediction == answer)


def char_accuracy(prediction: str, answer: str) -> float:
    """Share of positions with the right letter, over the longer string; 1.0 for two empty ones."""
    longest = max(len(prediction), len(answer))
    if longest == 0:
        return 1.0
    return sum(p == a for p, a in zip(prediction, answer, strict=False)) / longest


def copied_fraction(prediction: str, answer: str) -> float:
    """Share of the answer that stands before the first error; 1.0 for an empty answer.

    What follows a whole answer is no error of copying: ``exact_match`` sees it.
    """
    if not answer:
        return 1.0
    right = 0
    for p, a in zip(prediction, answer, strict=False):
        if p != a:
            break
        right += 1
    return right / len(answer)


def squad_normalize(text: str) -> str:
    """Lower case; punctuation to spaces; the articles a, an, the removed; white space folded.

    A mark becomes a space, as in the paper's code, where SQuAD's own script removes it: "U.S." is "u s".
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_TO_SPACES)).split())


def squad_exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 where the prediction is one of the answers, both normalised, else 0.0.

    An answer that is empty then, as "the" is, is met by a prediction that is empty too, and by no other;
    so is a question without answers.
    """
    return float(squad_normalize(prediction) in map(squad_normalize, answers or [""]))


def squad_f1(prediction: str, answers: Sequence[str]) -> float:
    """Harmonic mean of the precision and recall of words, the best over the answers, all normalised.

    A word counts as often as it stands there; empty answers as in ``squad_exact_match``.
    """
    words = squad_normalize(prediction).split()
    return max(_f1(words, squad_normalize(answer).split()) for answer in answers or [""])


def _f1(prediction: list[str], answer: list[str]) -> float:
    if not prediction or not answer:
        return float(prediction == answer)
    common = (Counter(prediction) & Counter(answer)).total()
    return 2 * common / (len(prediction) + len(answer))
