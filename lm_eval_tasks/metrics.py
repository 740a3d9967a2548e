"""Scores of one answer: pure functions of strings, each between 0 and 1."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from unicodedata import normalize

# with curly single quotes and the acute accent; string.punctuation contains the backquote
_MARKS = string.punctuation + "\u2018\u2019\u00b4"
_TO_SPACES = str.maketrans(dict.fromkeys(_MARKS, " "))
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def exact_match(prediction: str, answer: str) -> float:
    """1.0 if the strings are equal, else 0.0 (the paper's string-level accuracy)."""
    return float(prediction == answer)


def char_accuracy(prediction: str, answer: str) -> float:
    """Fraction of the longer string's positions with the correct letter; 1.0 for two empty strings."""
    longest = max(len(prediction), len(answer))
    if longest == 0:
        return 1.0
    return sum(p == a for p, a in zip(prediction, answer, strict=False)) / longest


def copied_fraction(prediction: str, answer: str) -> float:
    """Fraction of the answer before the first error; 1.0 for an empty answer.

    Text after a complete answer is not an error here, but it is one in ``exact_match``.
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
    """Lower case, spaces in place of punctuation, no articles (a, an, the), and single spaces.

    As in the paper's code, punctuation becomes spaces, so that "U.S." becomes "u s"; SQuAD's own script
    removes it. Letters are composed, as many tokenizers compose those of the prompt.
    """
    return " ".join(_ARTICLES.sub(" ", normalize("NFC", text.lower()).translate(_TO_SPACES)).split())


def squad_exact_match(prediction: str, answers: Sequence[str]) -> float:
    """1.0 if the prediction is one of the answers, both normalised, else 0.0.

    An answer that is empty after normalisation, such as "the", matches only an empty prediction, and so
    does a question without answers.
    """
    return float(squad_normalize(prediction) in map(squad_normalize, answers or [""]))


def squad_f1(prediction: str, answers: Sequence[str]) -> float:
    """Harmonic mean of word precision and recall after normalisation, as the maximum over the answers.

    Repeated words count as often as they occur; empty answers are treated as in ``squad_exact_match``.
    """
    words = squad_normalize(prediction).split()
    return max(_f1(words, squad_normalize(answer).split()) for answer in answers or [""])


def _f1(prediction: list[str], answer: list[str]) -> float:
    if not prediction:
        return float(not answer)
    common = (Counter(prediction) & Counter(answer)).total()
    return 2 * common / (len(prediction) + len(answer))
