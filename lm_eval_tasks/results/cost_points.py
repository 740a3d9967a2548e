"""Positions of points and of their labels in plots of accuracy against cost on a logarithmic axis."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from dataset_builders.plotting import mark_1_2_5
from lm_eval_tasks.results.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEFT, _RIGHT = 0.06, 0.12  # margins, as fractions of the axis; the right one has room for the last text
_STEP = 0.018  # maximum distance between neighbouring points of equal cost, as a fraction of the axis
_SPREAD = 0.07  # maximum distance from the first to the last point of equal cost, as a fraction of the axis
_LETTER = 0.0125  # width of a letter, as a fraction of the axis
_NEAR = 0.06  # difference in accuracy below which texts could overlap

Taken = tuple[float, float, float]
"""The position of a text: its left and right end as fractions of the axis, and the accuracy."""


def span(costs: Sequence[float]) -> float:
    """The ratio of the largest cost to the smallest, at least ten, so that the axis has a labelled tick."""
    return max(10.0, max(costs) / min(costs))


def apart(costs: Sequence[float], ratio: float) -> list[float]:
    """Positions of one line's points; points of equal cost are moved apart, so that all bars are visible.

    Args:
        costs: costs in the order of the lengths.
        ratio: ratio of the axis's ends, from :func:`span`.
    """
    number, seen = Counter(costs), Counter[float]()
    places = []
    for cost in costs:
        gaps = number[cost] - 1
        places.append(cost * ratio ** (min(_STEP, _SPREAD / max(1, gaps)) * (seen[cost] - gaps / 2)))
        seen[cost] += 1
    return places


def name_lengths(
    axes: "Axes",
    scores: Sequence[Score],
    places: Sequence[float],
    ratio: float,
    taken: list[Taken],
    colour: str,
) -> None:
    """Write the length next to each point of one line, with the texts of :func:`length_texts`."""
    from matplotlib.patheffects import withStroke

    for number, text in length_texts(scores, places, ratio, taken).items():
        axes.annotate(
            text, (places[number], scores[number].main_value or 0.0), (4, 4), textcoords="offset points",
            fontsize=7, color=colour, path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def length_texts(
    scores: Sequence[Score],
    places: Sequence[float],
    ratio: float,
    taken: list[Taken],
    letter: float = _LETTER,
) -> dict[int, str]:
    """The lengths to write next to points, by index of the point, from the last point to the first.

    Neighbouring points of equal accuracy that nearly touch share one text at the last of them: ``40 to 120``.
    A text that would overlap with another is left out.

    Args:
        scores: scores of one line, each with a main metric, in the order of the lengths.
        places: positions of the points, from :func:`apart`.
        ratio: ratio of the axis's ends, from :func:`span`.
        taken: positions of texts of other lines; the texts of this line are added.
        letter: width of a letter, as a fraction of the axis.
    """
    groups: list[list[int]] = []
    for number, score in enumerate(scores):
        before = groups[-1][-1] if groups else None
        if (
            before is not None
            and places[number] / places[before] < ratio ** (1.5 * _STEP)
            and abs((score.main_value or 0.0) - (scores[before].main_value or 0.0)) < 0.005
        ):
            groups[-1].append(number)
        else:
            groups.append([number])
    texts: dict[int, str] = {}
    for group in reversed(groups):
        first, last = scores[group[0]], scores[group[-1]]
        text = str(last.length) if len(group) == 1 else f"{first.length} to {last.length}"
        left, value = math.log(places[group[-1]]) / math.log(ratio), last.main_value or 0.0
        own = (left, left + letter * len(text), value)
        if not any(_touch(own, other) for other in taken):
            taken.append(own)
            texts[group[-1]] = text
    return texts


def _touch(one: Taken, other: Taken) -> bool:
    return one[0] < other[1] and other[0] < one[1] and abs(one[2] - other[2]) < _NEAR


def set_limits(axes: "Axes", costs: Sequence[float], text: Callable[[float], str] | None = None) -> None:
    """Leave room around the points, and above them for texts; mark 1, 2 and 5 if there is room.

    Args:
        axes: axes with a logarithmic horizontal axis.
        costs: the costs of all points.
        text: function that formats a number on the horizontal axis (default: ``short_number``).
    """
    ratio = span(costs)
    spare = (ratio * min(costs) / max(costs)) ** 0.5
    axes.set_xlim(min(costs) / spare / ratio**_LEFT, max(costs) * spare * ratio**_RIGHT)
    axes.set_ylim(-0.04, 1.1)
    if ratio <= 1000:
        mark_1_2_5(axes.xaxis, text)
