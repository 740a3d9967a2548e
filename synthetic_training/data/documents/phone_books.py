"""Phone books in the format of ``dataset_builders.phone_book``; the examples' numbers are also answers.

Answers are between braces. More than 40% of the documents have two examples, as in the benchmark. The others
have more, so that more tokens are trained on::

    Maria Jones: 8274910365
    Frank Ortiz: 6120938475
    Helen Brown: 9038471625

    Helen Brown:{ 9038471625
    }Maria Jones:{ 8274910365
    }
    Frank Ortiz:{ 6120938475
    }
"""

from random import Random

from dataset_builders.phone_book import MIN_ENTRIES, number
from dataset_builders.sources.census_names import full_name
from synthetic_training.data.documents.draws import Pieces, below, sample

_LINE = len("Christopher Hollingsworth: 6000000000\n")
"""Size in bytes of the longest line."""

_EXAMPLES = 2
_MOST_EXAMPLES = 48

MIN_BYTES = (MIN_ENTRIES + _EXAMPLES + 1) * _LINE + 2
"""Maximum size in bytes of a book of three entries."""


def phone_book(rng: Random, size: int) -> Pieces:
    """A book with as many entries as fit, followed by questions about the numbers of at least three names.

    Args:
        rng: random generator of this document.
        size: maximum size of the document in bytes, at least ``MIN_BYTES``.
    """
    examples = _EXAMPLES
    if rng.random() < 0.6:
        most = max(_EXAMPLES, min(_MOST_EXAMPLES, size // 3 // _LINE))
        examples += below(rng, most - _EXAMPLES + 1)
    room = size - 2 - (examples + 1) * _LINE

    book: dict[str, str] = {}
    while room >= _LINE or len(book) < MIN_ENTRIES:
        name = full_name(rng)
        if name not in book:
            book[name] = number(rng)
            room -= len(name) + 13

    names = list(book)
    queried = [names[i] for i in sample(rng, len(names), examples + 1)]
    pieces = [("".join(f"{name}: {digits}\n" for name, digits in book.items()) + "\n", False)]
    for name in queried[:-1]:
        pieces += [(f"{name}:", False), (f" {book[name]}\n", True)]
    return [*pieces, (f"\n{queried[-1]}:", False), (f" {book[queried[-1]]}\n", True)]
