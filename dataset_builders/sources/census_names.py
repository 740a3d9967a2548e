"""Names of people with the distribution of the 1990 US census, as the package ``names`` draws them.

``names.get_full_name()`` reads its files at every call. Here, they are read once and searched by bisection;
with the same random generator, both give the same sequence of names.
"""

from bisect import bisect_right
from functools import cache
from pathlib import Path
from random import Random

import names

_GENDERS = ("male", "female")
_LARGEST_FREQUENCY = 90  # per cent; the census files end slightly above it


@cache
def _table(key: str) -> tuple[list[float], list[str]]:
    """Cumulative frequencies in per cent, and the corresponding capitalised names."""
    lines = Path(names.FILES[key]).read_text(encoding="ascii").splitlines()
    columns = [line.split() for line in lines]
    return [float(row[2]) for row in columns], [row[0].capitalize() for row in columns]


def _draw(key: str, rng: Random) -> str:
    cumulative, candidates = _table(key)
    return candidates[bisect_right(cumulative, rng.random() * _LARGEST_FREQUENCY)]


def full_name(rng: Random) -> str:
    """A first and a last name, e.g. ``Ada Lovelace``, from three draws of ``rng``, as in ``names``."""
    gender = rng.choice(_GENDERS)
    first = _draw(f"first:{gender}", rng)
    return f"{first} {_draw('last', rng)}"
