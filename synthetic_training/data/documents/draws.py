"""Random draws for documents, all based on ``Random.random()``.

Python guarantees only for this method that it returns the same numbers in every version.
"""

from collections.abc import Sequence
from random import Random
from typing import TypeAlias, TypeVar

Pieces: TypeAlias = list[tuple[str, bool]]
"""A document as consecutive pieces of text, each with a flag: whether the piece is an answer to predict."""

T = TypeVar("T")


def below(rng: Random, bound: int) -> int:
    """A uniform integer from 0 to ``bound`` - 1."""
    return int(rng.random() * bound)


def pick(rng: Random, values: Sequence[T]) -> T:
    """A uniform choice among the values."""
    return values[int(rng.random() * len(values))]


def log_uniform(rng: Random, least: int, most: int) -> int:
    """A log-uniform integer from ``least`` to ``most``."""
    value = least * ((most + 1) / least) ** rng.random()
    return min(int(value), most)


def sample(rng: Random, population: int, count: int) -> list[int]:
    """``count`` distinct integers from 0 to ``population`` - 1, in random order."""
    places = list(range(population))
    for i in range(count):
        other = i + below(rng, population - i)
        places[i], places[other] = places[other], places[i]
    return places[:count]


def letters(rng: Random, alphabet: str, count: int) -> str:
    """A string of independent, uniform letters of an alphabet."""
    random, size = rng.random, len(alphabet)
    return "".join([alphabet[int(random() * size)] for _ in range(count)])
