"""Look-up tasks: a list of keys and values in one of many formats, followed by questions about the values.

Answers are between braces::

    zk4 -> 81
    prel -> 07
    9f -> 55

    prel ->{ 07
    }zk4 ->{ 81
    }
"""

from collections.abc import Callable
from random import Random

from synthetic_training.data.documents.copies import random_alphabet
from synthetic_training.data.documents.draws import Pieces, below, letters, pick, sample
from synthetic_training.data.documents.prose import words

_SEPARATORS = (":", ":", " =", " ->", "=", ",", " |", "\t", " is", " =>")
_BETWEEN = ("\n", "\n", "\n", "; ", ", ")
_LONGEST, _MAX_QUESTIONS = 16, 48
_ENTRY = 2 * _LONGEST + 6
"""Size in bytes of an entry with the longest key and value, with separators."""

MIN_BYTES = 5 * _ENTRY


def lookup(rng: Random, size: int) -> Pieces:
    """A list of values with distinct keys, followed by questions about the values of some keys.

    Args:
        rng: random generator of this document.
        size: maximum size of the document in bytes, at least ``MIN_BYTES``.
    """
    separator, between = pick(rng, _SEPARATORS), pick(rng, _BETWEEN)
    space = "" if separator in ("=", "\t") else " "
    key_of, value_of = _strings(rng), _strings(rng)
    room = size - 2
    questions = 1 + below(rng, max(1, min(_MAX_QUESTIONS, room // 2 // _ENTRY)))
    room -= questions * _ENTRY

    entries: dict[str, str] = {}
    vain = 0
    while (room >= _ENTRY or len(entries) < questions) and vain < 50:
        key = key_of()
        if key in entries:
            vain += 1
            continue
        entries[key] = value_of()
        room -= len((key + separator + space + entries[key] + between).encode())

    keys = list(entries)
    queried = [keys[i] for i in sample(rng, len(keys), min(questions, len(keys)))]
    listed = between.join(f"{key}{separator}{space}{value}" for key, value in entries.items())
    pieces = [(f"{listed}\n\n", False)]
    for key in queried:
        pieces += [(f"{key}{separator}", False), (f"{space}{entries[key]}\n", True)]
    return pieces


def _strings(rng: Random) -> Callable[[], str]:
    """A function that draws keys, or values, in one format, of at most ``_LONGEST`` bytes."""
    least = 2 + below(rng, 4)
    most = least + below(rng, _LONGEST - least + 1)
    if rng.random() < 0.4:
        lexicon = [word[:8] for word in words(rng, 30)]
        ascii_words = [word for word in lexicon if word.isascii() and word]
        return lambda: " ".join(pick(rng, ascii_words) for _ in range(1 + (most > 8)))[:_LONGEST].strip()
    alphabet = random_alphabet(rng)
    for mark in " =:;,|>\t-":  # separators must not occur within keys and values
        alphabet = alphabet.replace(mark, "")
    if len(alphabet) < 3:
        alphabet = "0123456789"
    return lambda: letters(rng, alphabet, least + below(rng, most - least + 1))
