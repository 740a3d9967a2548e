"""Copy tasks in the format of ``dataset_builders.c4_copy``; unlike there, the first copy is also an answer.

Answers are between braces::

    Tamo ri prel stounga.

    {Tamo ri prel stounga.

    }Tamo{ ri prel stounga.

    }
"""

from random import Random

from dataset_builders.c4_copy import first_word
from synthetic_training.data.documents.draws import Pieces, letters, log_uniform, pick, sample
from synthetic_training.data.documents.prose import pieces_of_words, prose

_SHORTEST = 8
MIN_BYTES = 3 * (_SHORTEST + 2)
"""Size in bytes of the smallest document, with a text of eight letters."""

_PRINTABLE = "".join(map(chr, range(ord("!"), ord("~") + 1)))
_LOWER, _DIGITS = "abcdefghijklmnopqrstuvwxyz", "0123456789"
_ALPHABETS = (_LOWER, _LOWER.upper(), _DIGITS, _DIGITS + "abcdef", _LOWER + _LOWER.upper() + _DIGITS)


def copy_random(rng: Random, size: int) -> Pieces:
    """A copy of a random string over a random alphabet, or of random pieces of words.

    Args:
        rng: random generator of this document.
        size: maximum size of the document in bytes, at least ``MIN_BYTES``; documents are nearly this large.
    """
    return _copied(_random_text(rng, _text_size(size)))


def copy_prose(rng: Random, size: int) -> Pieces:
    """A copy of a text that looks like prose; arguments as in ``copy_random``."""
    return _copied(prose(rng, _text_size(size)))


def random_alphabet(rng: Random) -> str:
    """An alphabet of 3 to 95 characters: a common set, or any printable ones."""
    if rng.random() < 0.4:
        return pick(rng, _ALPHABETS)
    count = log_uniform(rng, 3, len(_PRINTABLE))
    chosen = "".join(_PRINTABLE[i] for i in sample(rng, len(_PRINTABLE), count))
    return chosen + " " if rng.random() < 0.3 else chosen


def _random_text(rng: Random, length: int) -> str:
    u = rng.random()
    if u < 0.4:
        return pieces_of_words(rng, length)
    alphabet = random_alphabet(rng)
    if u < 0.6:
        return _random_words(rng, alphabet, length)
    edge = alphabet.replace(" ", "")
    return letters(rng, edge, 1) + letters(rng, alphabet, length - 2) + letters(rng, edge, 1)


def _random_words(rng: Random, alphabet: str, length: int) -> str:
    alphabet = alphabet.replace(" ", "")
    text = ""
    while len(text) < length:
        text += letters(rng, alphabet, 1 + int(rng.random() * 10)) + " "
    return text[:length].strip()


def _text_size(size: int) -> int:
    return (size - 6) // 3


def _copied(text: str) -> Pieces:
    cue = first_word(text)
    return [(f"{text}\n\n", False), (f"{text}\n\n", True), (cue, False), (f"{text[len(cue) :]}\n\n", True)]
