"""The kinds of documents by name; a document depends only on its kind, seed, index and size."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from synthetic_training.data.documents import copies, lookups, phone_books, strings
from synthetic_training.data.documents.draws import Pieces


@dataclass(frozen=True)
class Kind:
    """A kind of document.

    Attributes:
        write: function of a random generator and a maximum size in bytes that returns a document.
        least_bytes: the smallest number of bytes that ``write`` accepts.
    """

    write: Callable[[Random, int], Pieces]
    least_bytes: int


KINDS: dict[str, Kind] = {
    "phone_book": Kind(phone_books.phone_book, phone_books.MIN_BYTES),
    "copy_random": Kind(copies.copy_random, copies.MIN_BYTES),
    "copy_prose": Kind(copies.copy_prose, copies.MIN_BYTES),
    "lookup": Kind(lookups.lookup, lookups.MIN_BYTES),
    "strings": Kind(strings.strings, strings.MIN_BYTES),
}


def document(kind: str, seed: int, index: int, size: int) -> Pieces:
    """A document as consecutive pieces of text, each with a flag: whether it is an answer to predict.

    No benchmark contains these documents, because their random generators are seeded with other names.

    Args:
        kind: a key of ``KINDS``.
        seed: seed of the run.
        index: index of the document, from 0.
        size: maximum size in bytes, at least the kind's ``least_bytes``; most documents nearly reach it.
    """
    return KINDS[kind].write(Random(f"synthetic_training/{kind}/seed_{seed}/{index}"), size)
