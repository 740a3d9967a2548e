"""Scores of one answer: pure functions of strings, each between 0 and 1."""


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
