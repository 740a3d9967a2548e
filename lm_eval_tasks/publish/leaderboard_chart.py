"""Accuracy by length as shapes on a plane: what the leaderboard's page draws, one chart a benchmark."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lm_eval_tasks.results.intervals import score_interval, with_interval
from lm_eval_tasks.results.score import Score

LEFT, RIGHT, TOP, BOTTOM = 60, 424, 12, 228
"""The plane, in a drawing of 440 x 280 units."""

COLOURS = 6
"""Number of colours that the page's style sheet has, and so of classes ``c0``, ``c1``, ..."""

_DASHES = ("", "6 3", "2 3", "9 3 2 3")

_MARKERS = (
    "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
    "M-3.8 -3.8h7.6v7.6h-7.6z",
    "M0 -5l4.8 8.6h-9.6z",
    "M0 -5.4l5 5.4l-5 5.4l-5 -5.4z",
    "M0 5l4.8 -8.6h-9.6z",
    "M-5 0l2.5 -4.4h5l2.5 4.4l-2.5 4.4h-5z",
    "M0 -5.6l1.4 4.2h4.2l-3.4 2.6l1.3 4.2l-3.5 -2.6l-3.5 2.6l1.3 -4.2l-3.4 -2.6h4.2z",
)
"""Paths around (0, 0), closed so that they can be hollow; not as many as colours, so that pairs differ."""

_DIGIT = 9  # the width of one, in the larger type of a narrow screen


@dataclass(frozen=True)
class Style:
    """How one model is drawn everywhere on the page: the class of its colour, its marker and its dashes."""

    colour: str
    marker: str
    dashes: str


@dataclass(frozen=True)
class Point:
    """One score; ``low`` and ``high`` are the ends of its 95% interval, None where it is unknown."""

    x: float
    y: float
    low: float | None
    high: float | None
    hollow: bool
    title: str


@dataclass(frozen=True)
class Line:
    """The scores of one model, joined by a path."""

    model: str
    style: Style
    path: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Tick:
    """A place on an axis; its label is empty where it would run into the one before."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """One benchmark's chart, in a drawing of 440 x 280 units, y downwards."""

    benchmark: str
    metric: str
    unit: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]

    @property
    def hollow(self) -> bool:
        """Whether any point is."""
        return any(point.hollow for line in self.lines for point in line.points)


def style(number: int) -> Style:
    """The style of a page's model by its number: 42 pairs of colour and marker before one comes again."""
    return Style(
        f"c{number % COLOURS}",
        _MARKERS[number % len(_MARKERS)],
        _DASHES[number // COLOURS % len(_DASHES)],
    )


def chart(benchmark: str, scores: Sequence[Score], styles: Mapping[str, Style]) -> Chart:
    """The chart of one benchmark's scores, every one with a main metric from 0 to 1.

    Models are moved aside by some units each, so that equal scores do not hide each other.

    Args:
        styles: model -> how it is drawn; their order is that of the legend.
    """
    lengths = sorted({score.length for score in scores})
    place = _scale(lengths)
    models = [model for model in styles if any(score.label == model for score in scores)]
    step = min(5.0, 18 / len(models))
    lines = []
    for number, model in enumerate(models):
        aside = (number - (len(models) - 1) / 2) * step
        own = sorted((s for s in scores if s.label == model), key=lambda s: s.length)
        points = tuple(_point(score, place(score.length) + aside) for score in own)
        path = "M" + "L".join(f"{point.x} {point.y}" for point in points)
        lines.append(Line(model, styles[model], path, points))
    first = scores[0]
    return Chart(
        benchmark=benchmark,
        metric=(first.main_metric or "").replace("_", " "),
        unit=first.unit,
        x_ticks=_labelled([(place(n), str(n)) for n in lengths]),
        y_ticks=tuple(Tick(_height(n / 4), f"{n / 4:g}") for n in range(5)),
        lines=tuple(lines),
    )


def _scale(lengths: Sequence[int]) -> Callable[[int], float]:
    """Where a length stands: by its logarithm where lengths are far apart, as in the report's plot."""
    least, most = lengths[0], lengths[-1]
    left, right = LEFT + 22, RIGHT - 22
    if least == most:
        return lambda _: (left + right) / 2
    far = 0 < 8 * least < most

    def place(length: int) -> float:
        share = (
            math.log(length / least) / math.log(most / least) if far else (length - least) / (most - least)
        )
        return left + share * (right - left)

    return place


def _point(score: Score, x: float) -> Point:
    value, ends = score.main_value or 0.0, score_interval(score, score.main_metric or "")
    title = f"{score.label}, {score.length} {score.unit}: {with_interval(value, ends)}"
    hollow = score.truncated > 0
    return Point(
        x=round(x, 1),
        y=_height(value),
        low=None if ends is None else _height(ends[0]),
        high=None if ends is None else _height(ends[1]),
        hollow=hollow,
        title=f"{title}, {score.truncated:.0%} truncated" if hollow else title,
    )


def _height(value: float) -> float:
    return round(BOTTOM - value * (BOTTOM - TOP), 1)


def _labelled(places: Sequence[tuple[float, str]]) -> tuple[Tick, ...]:
    ticks, free = [], -math.inf
    for at, label in places:
        half = len(label) * _DIGIT / 2
        fits = at - half >= free
        ticks.append(Tick(round(at, 1), label if fits else ""))
        if fits:
            free = at + half + _DIGIT / 2
    return tuple(ticks)
