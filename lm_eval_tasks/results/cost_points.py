"""Points of accuracy against a cost on a logarithmic axis: where they stand, and the lengths beside them."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lm_eval_tasks.results.score import Score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARGIN = 0.07  # of the axis, on each side
_STEP = 0.018  # between points of equal cost, as a share of the axis
_LETTER = 0.0125  # of a length's text, as a share of the axis
_NEAR = 0.06  # accuracies whose texts could touch


def span(costs: Sequence[float]) -> float:
    """The ratio of the largest cost to the smallest, at least ten so that the axis has a labelled tick."""
    return max(10.0, max(costs) / min(costs))


def apart(costs: Sequence[float], ratio: float) -> list[float]:
    """Where the points of one line stand: those of equal cost a little apart, so that all bars are seen.

    Args:
        costs: in the order of the lengths.
        ratio: of the axis, from :func:`span`.
    """
    number, seen = Counter(costs), Counter[float]()
    places = []
    for cost in costs:
        aside = seen[cost] - (number[cost] - 1) / 2
        seen[cost] += 1
        places.append(cost * ratio ** (_STEP * aside))
    return places


def name_lengths(axes: "Axes", scores: Sequence[Score], places: Sequence[float], ratio: float) -> None:
    """Write its length beside each point; equal neighbours share one, and texts without room are left out.

    Args:
        scores: of one line, each with a main metric, in the order of the lengths.
        places: see :func:`apart`.
    """
    from matplotlib.patheffects import withStroke

    texts = [
        (place, score.main_value or 0.0, str(score.length))
        for score, place in zip(scores, places, strict=True)
    ]
    drawn: list[tuple[float, float]] = []
    for at, value, text in reversed(_merged(texts, ratio)):
        left = math.log(at) / math.log(ratio)
        if all(left + _LETTER * len(text) < other or abs(value - y) > _NEAR for other, y in drawn):
            drawn.append((left, value))
            axes.annotate(
                text, (at, value), (4, 4), textcoords="offset points", fontsize=7,
                path_effects=[withStroke(linewidth=2, foreground="white")],
            )  # fmt: skip


def _merged(texts: Sequence[tuple[float, float, str]], ratio: float) -> list[tuple[float, float, str]]:
    """Neighbours of equal accuracy that nearly touch as one, at the place of the last: ``40 to 120``."""
    found: list[tuple[float, float, str]] = []
    for at, value, text in texts:
        if found:
            before, other, first = found[-1]
            if at / before < ratio ** (1.5 * _STEP) and abs(value - other) < 0.005:
                found[-1] = (at, value, f"{first.partition(' to ')[0]} to {text}")
                continue
        found.append((at, value, text))
    return found


def set_limits(axes: "Axes", costs: Sequence[float]) -> None:
    """Room around the points, and above them for their texts; ticks at 1, 2 and 5 where there is room."""
    from matplotlib.ticker import LogLocator

    ratio = span(costs)
    spare = ratio / (max(costs) / min(costs))
    axes.set_xlim(min(costs) / (spare**0.5 * ratio**_MARGIN), max(costs) * spare**0.5 * ratio**_MARGIN)
    axes.set_ylim(-0.04, 1.1)
    if ratio <= 1000:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
