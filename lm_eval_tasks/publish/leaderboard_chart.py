"""Accuracy by length, and by bytes of state, as shapes: the charts of the leaderboard's page."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dataset_builders.plotting import short_bytes
from lm_eval_tasks.results.cost_points import Taken, apart, length_texts, span
from lm_eval_tasks.results.intervals import score_interval, with_interval
from lm_eval_tasks.results.row_styles import assign
from lm_eval_tasks.results.score import Score

LEFT, RIGHT, TOP, BOTTOM = 60, 424, 22, 228
"""The area between the axes, in a drawing of 440 x 280 units."""

_COLOURS = ("c0", "c1", "c2", "c3", "c4", "c5")
"""Colour classes of the page's style sheet, starting with blue and vermilion."""

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
"""Markers as closed paths around (0, 0). Their number differs from the number of colours, so that pairs of
colour and marker do not repeat early."""

_ARCHITECTURES = {"transformer": ("c0", _MARKERS[0]), "mamba": ("c1", _MARKERS[4])}
"""Colour and marker of each architecture, as close as possible to those in the report's plots."""

_DIGIT = 9  # width of a digit in the larger type of a narrow screen


@dataclass(frozen=True)
class Style:
    """The style of one model everywhere on the page: colour class, marker and dashes."""

    colour: str
    marker: str
    dashes: str


@dataclass(frozen=True)
class Point:
    """One score; ``low`` and ``high`` are the ends of its 95% interval, None if unknown.

    ``text`` is shown next to the point.
    """

    x: float
    y: float
    low: float | None
    high: float | None
    hollow: bool
    title: str
    text: str = ""


@dataclass(frozen=True)
class Line:
    """The scores of one model, joined by a path."""

    model: str
    style: Style
    path: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Tick:
    """A tick on an axis; its label is empty if it would overlap with the previous label."""

    at: float
    label: str


@dataclass(frozen=True)
class Chart:
    """One benchmark's chart, in a drawing of 440 x 280 units, y downwards.

    Attributes:
        axis: quantity on the x-axis, for the chart's title.
        beside: meaning of the numbers next to the points; empty if there are no numbers.
    """

    benchmark: str
    metric: str
    axis: str
    x_label: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    beside: str = ""

    @property
    def hollow(self) -> bool:
        """Whether any point is hollow."""
        return any(point.hollow for line in self.lines for point in line.points)


def styles(models: Sequence[str]) -> dict[str, Style]:
    """The style of each model, see :func:`lm_eval_tasks.results.row_styles.assign`."""
    found: dict[str, Style] = {}
    for model, (colour, marker) in assign(models, _COLOURS, _MARKERS, _ARCHITECTURES).items():
        before = sum(style.colour == colour for style in found.values())
        found[model] = Style(colour, marker, _DASHES[before % len(_DASHES)])
    return found


def charts(benchmark: str, scores: Sequence[Score], style_of: Mapping[str, Style]) -> list[Chart]:
    """The charts that can be drawn from one benchmark's scores."""
    drawn = [score for score in scores if score.main_value is not None]
    seen = [score for score in drawn if score.state_bytes is not None]
    by_length = [chart(benchmark, drawn, style_of)] if drawn else []
    return [*by_length, chart_by_state(benchmark, seen, style_of)] if seen else by_length


def chart(benchmark: str, scores: Sequence[Score], style_of: Mapping[str, Style]) -> Chart:
    """The chart of one benchmark's scores by length; each score has a main metric from 0 to 1.

    Models are shifted by a few units each, so that equal scores do not hide each other.

    Args:
        benchmark: name of the benchmark.
        scores: the scores.
        style_of: styles by model, in the order of the legend.
    """
    lengths = sorted({score.length for score in scores})
    place = _scale(lengths)
    models = _models(scores, style_of)
    step = min(5.0, 18 / len(models))
    lines = []
    for number, (model, own) in enumerate(models.items()):
        aside = (number - (len(models) - 1) / 2) * step
        points = [_point(score, place(score.length) + aside) for score in own]
        lines.append(_line(model, style_of[model], points))
    ticks = _labelled([(place(n), str(n)) for n in lengths])
    return _chart(benchmark, scores, "length", f"length ({scores[0].unit})", ticks, lines)


def chart_by_state(benchmark: str, scores: Sequence[Score], style_of: Mapping[str, Style]) -> Chart:
    """The chart of one benchmark's scores by bytes of state; each score has a main metric and a known state.

    The axis is logarithmic; lengths are shown next to the points.

    Args:
        benchmark: name of the benchmark.
        scores: the scores.
        style_of: styles by model, in the order of the legend.
    """
    sizes = [float(score.state_bytes or 0) for score in scores]
    ratio = span(sizes)
    middle = math.sqrt(min(sizes) * max(sizes))
    width = RIGHT - LEFT - 74  # leaves room for shifted points and for the last text

    def place(size: float) -> float:
        return LEFT + 28 + width * (0.5 + math.log(size / middle) / math.log(ratio))

    lines = []
    taken: list[Taken] = []
    for model, own in _models(scores, style_of).items():
        places = apart([float(score.state_bytes or 0) for score in own], ratio)
        texts = length_texts(own, places, ratio, taken, _DIGIT / width)
        points = [
            replace(_point(score, place(at)), text=texts.get(number, ""))
            for number, (score, at) in enumerate(zip(own, places, strict=True))
        ]
        lines.append(_line(model, style_of[model], points))
    least, most = middle / ratio**0.55, middle * ratio**0.55
    ticks = [step * 10.0**k for k in range(19) for step in (1, 2, 5) if least <= step * 10.0**k <= most]
    labelled = _labelled(
        [(place(at), short_bytes(at) if ratio < 50 or f"{at:e}"[0] == "1" else "") for at in ticks]
    )
    found = _chart(benchmark, scores, "bytes of state", "state before the query", labelled, lines)
    return replace(found, beside=scores[0].unit)


def _models(scores: Sequence[Score], style_of: Mapping[str, Style]) -> dict[str, list[Score]]:
    found = {
        model: sorted((s for s in scores if s.label == model), key=lambda s: s.length) for model in style_of
    }
    return {model: own for model, own in found.items() if own}


def _line(model: str, style: Style, points: Sequence[Point]) -> Line:
    return Line(model, style, "M" + "L".join(f"{point.x} {point.y}" for point in points), tuple(points))


def _chart(
    benchmark: str,
    scores: Sequence[Score],
    axis: str,
    x_label: str,
    ticks: tuple[Tick, ...],
    lines: Sequence[Line],
) -> Chart:
    return Chart(
        benchmark=benchmark,
        metric=(scores[0].main_metric or "").replace("_", " "),
        axis=axis,
        x_label=x_label,
        x_ticks=ticks,
        y_ticks=tuple(Tick(_height(n / 4), f"{n / 4:g}" if n % 2 == 0 else "") for n in range(5)),
        lines=tuple(lines),
    )


def _scale(lengths: Sequence[int]) -> Callable[[int], float]:
    """Maps lengths to positions, logarithmically if they are far apart, as in the report's plot."""
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
    if score.state_bytes is not None:
        title += f", {score.state_bytes:,} bytes of state"
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
