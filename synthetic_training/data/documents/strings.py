"""The string tasks in the format of ``dataset_builders.string_tasks.documents`` for pretrained models.

Answers are between braces. Like the benchmark's documents, some of these have two worked examples::

    asdfgh ->{ asdfgh
    }zxcvbn ->{ zxcvbn
    }qwerty ->{ qwerty
    }

In the spelling ``spaced``, the end of an answer is hardest to predict: in the string, the last letter is
followed by a space like every other letter, but in the answer by a newline. Two in three documents are
therefore spaced; short strings are common, so that many answers end; and in half of the documents, strings
have different lengths, so that counting letters does not give away the end.
"""

from random import Random

from numpy.random import Philox

from dataset_builders.string_tasks import Copy, PrefixNgram, StringTask, SuffixNgram
from dataset_builders.string_tasks.documents import draw, question, spell
from synthetic_training.data.documents.draws import Pieces, log_uniform, pick

_TASKS: tuple[type[StringTask], ...] = (Copy, Copy, PrefixNgram, SuffixNgram)
_SHORTEST, _LINES = 6, 3
_SHORTEST_COPY = 2
_SPELLINGS = ("plain", "spaced", "spaced")
_LONG, _MIXED = 0.25, 0.5
"""Fractions of documents whose strings are as long as possible, and whose strings differ in length."""
_OTHERS = 3 + 3 + len(" |  -> \n")
"""Maximum size in bytes of a line without its string and answer: the spaced key and the marks."""

_MARGIN = _OTHERS + 4
MIN_BYTES = _LINES * (4 * _SHORTEST + _MARGIN)
"""Size in bytes of three lines of the shortest strings in the spelling ``spaced``."""


def strings(rng: Random, size: int) -> Pieces:
    """Lines of one task, with strings of one length or of several.

    Args:
        rng: random generator of this document.
        size: maximum size of the document in bytes, at least ``MIN_BYTES``.
    """
    task = pick(rng, _TASKS)
    spelling = pick(rng, _SPELLINGS)
    wide = 4 if spelling == "spaced" else 2  # bytes per letter, in the string and in its answer together
    longest = (size // _LINES - _MARGIN) // wide
    shortest = _SHORTEST_COPY if task is Copy else _SHORTEST
    length = longest if rng.random() < _LONG else log_uniform(rng, shortest, longest)
    lines = max(_LINES, size // (wide * length + _MARGIN)) if length < longest else _LINES
    least = shortest if rng.random() < _MIXED else length
    # a NumPy bit generator of this document, seeded by ``rng``
    bits = Philox(key=int(rng.random() * 2**53))
    pieces: Pieces = []
    for example in draw(task(least, length), lines, bits):
        pieces += [
            (question(spelling, example), False),
            (f" {spell(example.answer, spelling)}\n", True),
        ]
    return pieces
