"""The leaderboard's chart: positions of points, and whether lines can be distinguished."""

import re
from pathlib import Path

import pytest

from lm_eval_tasks.publish.leaderboard import render
from lm_eval_tasks.publish.leaderboard_chart import BOTTOM, LEFT, RIGHT, TOP, chart, chart_by_state, styles
from lm_eval_tasks.results.intervals import interval
from tests.leaderboard_page import page_of, scores_of
from tests.result_files import result_file

# ---- the curves


def test_points_stand_where_the_scores_say(tmp_path: Path) -> None:
    exact = {"phone_book_20": 1.0, "phone_book_40": 0.5, "phone_book_60": 0.0}
    result_file(tmp_path, exact, model="a", error=0.125)
    drawn = chart("phone_book", scores_of(tmp_path), styles(["a"]))
    (line,) = drawn.lines
    first, middle, last = line.points
    assert (first.y, middle.y, last.y) == (TOP, (TOP + BOTTOM) / 2, BOTTOM)
    assert middle.x == pytest.approx((first.x + last.x) / 2) == pytest.approx((LEFT + RIGHT) / 2)
    low, high = interval("exact_match", 0.5, None, 500) or (0, 0)
    assert middle.low is not None and middle.high is not None
    assert middle.low - middle.high == pytest.approx((high - low) * (BOTTOM - TOP), abs=0.2)
    assert (first.high, last.low) == (TOP, BOTTOM), "intervals end where the scale does"
    assert [tick.label for tick in drawn.x_ticks] == ["20", "40", "60"]


def test_far_lengths_are_drawn_by_their_logarithm(tmp_path: Path) -> None:
    result_file(tmp_path, {f"phone_book_{n}": 0.5 for n in (20, 100, 120, 200, 1600)}, model="a")
    ticks = chart("phone_book", scores_of(tmp_path), styles(["a"])).x_ticks
    at = {tick.label: tick.at for tick in ticks}
    assert at["200"] - at["20"] > at["1600"] - at["200"] > 0
    assert [tick.label for tick in ticks] == ["20", "100", "", "200", "1600"], "labels do not run together"


def test_truncated_points_are_hollow(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a", truncated=0.5)
    result_file(tmp_path, {"phone_book_20": 0.5}, model="b")
    (drawn,) = page_of(tmp_path).charts
    assert [[p.hollow for p in line.points] for line in drawn.lines] == [[True], [False]]
    assert drawn.lines[0].points[0].x != drawn.lines[1].points[0].x, "equal scores do not hide each other"
    assert render(page_of(tmp_path), "t").count(b'class="marker hollow"') == 1


def test_states_are_drawn_by_their_logarithm_and_lengths_stand_beside(tmp_path: Path) -> None:
    fixed = {"phone_book_20": 0.5, "phone_book_40": 0.0, "phone_book_60": 0.0}
    result_file(tmp_path, fixed, model="fixed", metadata={"state_bytes": 10_000})
    result_file(tmp_path, {"phone_book_20": 1.0}, model="grows", metadata={"state_bytes": 100_000})
    result_file(tmp_path, {"phone_book_40": 1.0}, model="grows", metadata={"state_bytes": 1_000_000})
    result_file(tmp_path, {"phone_book_20": 1.0}, model="unseen")
    by_length, by_state = page_of(tmp_path).charts
    assert [line.model for line in by_length.lines] == ["fixed", "grows", "unseen"]
    assert by_state == chart_by_state(
        "phone_book",
        [score for score in scores_of(tmp_path) if score.state_bytes],
        styles(["fixed", "grows", "unseen"]),
    )
    first, second = by_state.lines
    at = {tick.label: tick.at for tick in by_state.x_ticks if tick.label}
    assert list(at) == ["10 kB", "100 kB", "1 MB"]
    assert at["100 kB"] - at["10 kB"] == pytest.approx(at["1 MB"] - at["100 kB"], abs=0.2)
    assert [point.x for point in second.points] == [at["100 kB"], at["1 MB"]]
    assert all(LEFT < point.x < RIGHT for point in (*first.points, *second.points))
    assert [(tick.label, tick.at) for tick in by_state.y_ticks] == [
        ("0", BOTTOM), ("", 176.5), ("0.5", (TOP + BOTTOM) / 2), ("", 73.5), ("1", TOP)
    ]  # fmt: skip
    left, middle, right = (point.x for point in first.points)
    assert left < middle == at["10 kB"] < right, "points of equal state do not hide each other"
    assert [point.text for point in first.points] == ["20", "", "40 to 60"]
    assert [point.text for point in second.points] == ["20", "40"]
    assert "100,000 bytes of state" in second.points[0].title


def test_styles_differ_by_colour_and_marker() -> None:
    found = styles([str(n) for n in range(42)])
    assert len({(style.colour, style.marker) for style in found.values()}) == 42
    assert all(style.marker.endswith("z") for style in found.values()), "an open path cannot be hollow"
    pair = styles(["other", "my-mamba", "transformer"])
    assert (pair["transformer"].colour, pair["my-mamba"].colour) == ("c0", "c1")
    assert pair["other"].colour not in ("c0", "c1")


# ---- the colours

_TO_LMS = {  # Machado et al. 2009, severity 1: linear RGB as it is seen
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.1523, 1.0526, -0.2049), (0.1145, 0.7863, 0.0992), (-0.0039, -0.0481, 1.0520)),
    "deuteranopia": ((0.3673, 0.8606, -0.2280), (0.2801, 0.6727, 0.0472), (-0.0118, 0.0430, 0.9688)),
}


def _linear(colour: str) -> list[float]:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]


def _lab(rgb: list[float]) -> tuple[float, float, float]:
    r, g, b = (min(1.0, max(0.0, part)) for part in rgb)
    x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def _luminance(colour: str) -> float:
    r, g, b = _linear(colour)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("sight", _TO_LMS)
def test_lines_are_told_apart_by_their_colours(tmp_path: Path, theme: str, sight: str) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a")
    text = render(page_of(tmp_path), "t").decode()
    rule = re.search(rf'data-theme="{theme}"\] {{(.*?)}}', text, re.DOTALL)
    assert rule is not None
    colours = dict(re.findall(r"--(\w+): (#\w{6})", rule[1]))
    lines = [colours[f"c{n}"] for n in range(6)]
    seen = [_lab([sum(m * p for m, p in zip(row, _linear(c), strict=True)) for row in _TO_LMS[sight]])
            for c in lines]  # fmt: skip
    apart = min(sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) ** 0.5
                for i, a in enumerate(seen) for b in seen[:i])  # fmt: skip
    assert apart > 15, "a difference of 2 is just seen"
    paper = _luminance(colours["paper"])
    for colour in lines:
        low, high = sorted((paper, _luminance(colour)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour
