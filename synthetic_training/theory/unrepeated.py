"""Strings without repeated n-grams, at lengths where a uniform string nearly always has one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dataset_builders import InputError
from dataset_builders.checks import check_integer

if TYPE_CHECKING:
    from numpy.random import Generator

_MOST_NGRAMS = 20_000
"""Maximum number of n-grams for de Bruijn sequences; above, uniform strings without a repeat are common."""

_MOST_TRIES = 10_000


def unrepeated_strings(letters: int, n: int, length: int, count: int, seed: int = 0) -> list[list[int]]:
    """Random strings of one length in which no n-gram occurs twice.

    The strings are parts of random de Bruijn sequences, and can have up to D^n + n - 1 letters, the maximum.
    If there are more than 20,000 n-grams, they are instead drawn uniformly until no n-gram occurs twice.

    Raises:
        InputError: strings of this length without a repeated n-gram do not exist or are too rare.
    """
    import numpy as np

    check_integer("length", length, n, letters**n + n - 1)
    generator = np.random.Generator(np.random.PCG64(seed))
    if letters**n <= _MOST_NGRAMS:
        return [_part_of_sequence(letters, n, length, generator) for _ in range(count)]
    found: list[list[int]] = []
    for _ in range(count * _MOST_TRIES):
        string = generator.integers(0, letters, length).tolist()
        if len({tuple(string[i : i + n]) for i in range(length - n + 1)}) == length - n + 1:
            found.append(string)
            if len(found) == count:
                return found
    raise InputError(
        f"strings of {length} letters over an alphabet of {letters} in which no {n}-gram repeats are too rare"
    )


def _part_of_sequence(letters: int, n: int, length: int, generator: Generator) -> list[int]:
    """A part of an Eulerian circuit of the (n-1)-grams, with every n-gram once (Hierholzer's algorithm)."""
    nodes = letters ** (n - 1)
    unused = [generator.permutation(letters).tolist() for _ in range(nodes)]
    path: list[tuple[int, int]] = [(0, -1)]
    backwards = []
    while path:
        node, _ = path[-1]
        if unused[node]:
            letter = unused[node].pop()
            path.append(((node * letters + letter) % nodes, letter))
        else:
            backwards.append(path.pop()[1])
    cycle = backwards[-2::-1]
    begin = int(generator.integers(len(cycle)))
    return [cycle[(begin + i) % len(cycle)] for i in range(length)]
