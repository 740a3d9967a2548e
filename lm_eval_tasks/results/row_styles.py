"""A colour and a marker for each row of a report; known architectures have their own."""

import re
from collections.abc import Mapping, Sequence
from itertools import count

_NAME = re.compile(
    r"(?<![a-z])(transformer|mamba2|mamba|hybrid|griffin|lstm|minimax)(?![a-z])", re.IGNORECASE
)


def named_architecture(label: str) -> str | None:
    """The architecture that a label names, in lower case; None if it names none.

    ``mamba-2.8b`` is a Mamba of 2.8 billion parameters, ``mamba2-2.7b`` a Mamba-2.
    """
    found = _NAME.search(label)
    return found[1].lower() if found else None


def assign(
    labels: Sequence[str],
    colours: Sequence[str],
    markers: Sequence[str],
    own: Mapping[str, tuple[str, str]],
) -> dict[str, tuple[str, str]]:
    """Colour and marker of each label, in the order of the labels.

    The first row of an architecture gets the architecture's own colour and marker. The others take the
    remaining colours in turn, with other markers in each round, so that no pair repeats before all are used.

    Args:
        labels: labels of the rows.
        colours: all colours.
        markers: all markers.
        own: colour and marker of each known architecture.
    """
    fixed: dict[str, str] = {}
    for label in labels:
        name = named_architecture(label)
        if name is not None and name in own and name not in fixed.values():
            fixed[label] = name
    taken = {own[name][0] for name in fixed.values()}
    free = [colour for colour in colours if colour not in taken] or list(colours)
    numbers = count()
    return {
        label: own[fixed[label]] if label in fixed else _nth(next(numbers), free, markers) for label in labels
    }


def _nth(number: int, colours: Sequence[str], markers: Sequence[str]) -> tuple[str, str]:
    turn, colour = divmod(number, len(colours))
    return colours[colour], markers[(colour + turn) % len(markers)]
