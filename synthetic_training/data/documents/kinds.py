"""The kinds of documents by their names; a document depends on its kind, seed, index and size alone."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from synthetic_training.data.documents import copies, lookups, phone_books, strings
from synthetic_training.data.documents.draws import Pieces


@dataclass(frozen=True)
class Kind:
    """What writes documents.

    Attributes:
        write: gives a document of a generator and of at most so many bytes.
        least: the fewest bytes with which it can do.
    """

    write: Callable[[Random, int], Pieces]
    least: int


KINDS: dict[str, Kind] = {
    "phone_book": Kind(phone_books.phone_book, phone_books.LEAST),
    "copy_random": Kind(copies.copy_random, copies.LEAST),
    "copy_prose": Kind(copies.copy_prose, copies.LEAST),
    "lookup": Kind(lookups.lookup, lookups.LEAST),
    "strings": Kind(strings.strings, strings.LEAST),
}


def document(kind: str, seed: int, index: int, size: int) -> Pieces:
    """A document in parts, each with whether it is to be predicted.

    No benchmark has a document of this stream: theirs are drawn from generators of other names.

    Args:
        kind: a key of ``KINDS``.
        seed: of the run.
        index: the document's number, at least 0.
        size: bytes that it may have, at least the kind's ``least``; it has mostly about as many.
    """
    return KINDS[kind].write(Random(f"synthetic_training/{kind}/seed_{seed}/{index}"), size)
