"""Details of plots: colours of architectures, points of equal cost, their texts, and saving."""

import re
from itertools import pairwise
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from dataset_builders import InputError
from dataset_builders.plotting import (
    ARCHITECTURES,
    legend_beside,
    log_scale,
    plot_style,
    save_plot,
    short_bytes,
)
from lm_eval_tasks.results.cost_points import apart, length_texts, name_lengths, set_limits, span
from lm_eval_tasks.results.plots import styles
from lm_eval_tasks.results.row_styles import named_architecture
from lm_eval_tasks.results.rows import read_scores
from synthetic_training.figures import draw, figure_file
from synthetic_training.figures.style import model_title, style_of
from tests.figure_lines import a_line, a_test
from tests.result_files import result_file


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_plot_replaces_an_earlier_one_and_no_other_file(tmp_path: Path, kind: str) -> None:
    def save(name: str, **options: bool) -> list[Path]:
        with plot_style():
            return save_plot(Figure(figsize=(1, 1)), tmp_path, name, **options)

    save("ours")
    save("ours")
    theirs = tmp_path / f"theirs.{kind}"
    Figure(figsize=(1, 1)).savefig(theirs)  # also drawn by matplotlib
    before = theirs.read_bytes()
    with pytest.raises(InputError, match=rf"theirs\.{kind} was not drawn by repeat-after-me"):
        save("theirs")
    assert theirs.read_bytes() == before and len(list(tmp_path.iterdir())) == 3
    save("theirs", replace=True)
    assert theirs.read_bytes() != before


@pytest.mark.parametrize(
    ("label", "architecture"),
    [
        ("mamba-2.8b-hf", "mamba"), ("runs/mamba2", "mamba2"), ("Transformer@step10", "transformer"),
        ("falcon_mamba", "mamba"), ("mamband", None), ("pythia-410m", None),
    ],
)  # fmt: skip
def test_labels_name_architectures(label: str, architecture: str | None) -> None:
    assert named_architecture(label) == architecture


def test_an_architecture_is_drawn_alike_in_reports_and_in_figures_of_training() -> None:
    assert all(named_architecture(name) == name for name in ARCHITECTURES)
    for labels in (["mamba", "transformer"], ["a", "b", "transformer", "z-mamba"], ["mamba", "hybrid"]):
        found = styles(labels)
        for label, own in found.items():
            architecture = named_architecture(label)
            if architecture:
                assert (own.colour, own.marker) == ARCHITECTURES[architecture]
        assert len({own.colour for own in found.values()}) == len(labels)
    drawn = style_of("T_rope", [])
    assert (drawn["color"], drawn["marker"]) == ARCHITECTURES["transformer"]
    assert style_of("mamba", [])["color"] == styles(["mamba"])["mamba"].colour


def test_own_models_differ_from_each_other_and_from_those_of_the_paper() -> None:
    labels = ["T_rope", "mine", "mamba", "another", "T_hard_alibi", "gla"]
    drawn = [style_of(label, [{"label": one} for one in labels]) for label in labels]
    assert len({style["color"].lower() for style in drawn}) == len(labels)


def test_a_curve_that_another_hides_is_wider_and_the_training_length_comes_last_in_the_legend(
    tmp_path: Path,
) -> None:
    scale = figure_file.Scale({"mamba": {}}, panels={"a": {}, "b": {}})
    figure = figure_file.Figure("Title", "length", "It found.", {"small": scale})

    def svg_of(lstm: float) -> str:
        lines = [
            a_line(label, tests=[a_test(4, accuracy), a_test(8, 0.0)], panel=panel)
            for label, accuracy in (("T_rope", 0.9), ("lstm", lstm), ("mamba", 0.3))
            for panel in ("a", "b")
            if label != "lstm" or panel == "b"
        ]
        _, svg = draw.draw(figure, lines, tmp_path, "plot")
        return svg.read_text()

    hidden, apart = svg_of(0.91), svg_of(0.5)
    assert hidden.count("stroke-width: 2.3") == 2  # and in the legend
    assert "stroke-width: 2.3" not in apart
    names = re.findall(r"<!-- (Transformer: RoPE|Mamba|LSTM|longest in training) -->", hidden)
    assert names == ["Transformer: RoPE", "Mamba", "LSTM", "longest in training"]


@pytest.mark.parametrize(
    ("label", "title"),
    [
        ("lr_1e-3", "Learning rate 1e-3"), ("embeddings_0.02", "Embeddings' standard deviation 0.02"),
        ("width_64, lr 1", "Width 64, lr 1"), ("T_nope, m = 2", "Transformer: NoPE, m = 2"),
        ("my_width", "my_width"), ("width_", "width_"), ("lr", "lr"),
    ],
)  # fmt: skip
def test_titles_of_labels(label: str, title: str) -> None:
    assert model_title(label) == title


@pytest.mark.parametrize("values", [(0.9, 3.2), (1.9, 2.7), (0.02, 4), (1e-4, 3)])
def test_a_logarithmic_axis_has_labels_at_any_range(values: tuple[float, float]) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2], values)
    log_scale(axes, "y")
    figure.draw_without_rendering()
    ticks = [
        tick
        for minor in (False, True)
        for tick in zip(axes.get_yticks(minor=minor), axes.get_yticklabels(minor=minor), strict=True)
    ]
    low, high = axes.get_ylim()
    shown = {label.get_text(): place for place, label in ticks if low <= place <= high and label.get_text()}
    # older versions of matplotlib label only the powers of two decades; two labels define the scale
    assert 2 <= len(shown) <= 15 and all(float(text) == pytest.approx(place) for text, place in shown.items())


def test_a_legend_takes_no_room_from_the_axes() -> None:
    def width(*names: str) -> float:
        figure = Figure(figsize=(4, 3), layout="constrained")
        (line,) = (axes := figure.subplots()).plot([1, 2])
        if names:
            legend_beside(figure, [line] * len(names), names)
        figure.draw_without_rendering()
        return axes.get_window_extent().width

    assert width("a long name of a model") == pytest.approx(width("a"), rel=0.02)
    assert width("a") == pytest.approx(width(), rel=0.06)


def test_a_second_mamba_differs_from_the_first() -> None:
    found = styles([f"mamba-{size}" for size in range(48)])
    assert (found["mamba-0"].colour, found["mamba-0"].marker) == ARCHITECTURES["mamba"]
    assert len({(own.colour, own.marker) for own in found.values()}) == 48


def test_points_of_equal_cost_stand_apart_around_it_and_others_where_they_are() -> None:
    costs = [100.0, 100.0, 100.0, 800.0]
    first, second, third, last = apart(costs, span(costs))
    assert first < second == 100 < third < 110 and last == 800
    assert first * third == pytest.approx(100**2)


@pytest.mark.parametrize("most", [2e6, 16e6, 120e6])
def test_labels_of_an_axis_of_costs_do_not_touch(most: float) -> None:
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0.13e6, most], [0, 1])
    log_scale(axes, "x", text=short_bytes)
    set_limits(axes, [0.13e6, most], short_bytes)
    figure.draw_without_rendering()
    low, high = axes.get_xlim()
    shown = {
        label.get_text(): label.get_window_extent()
        for minor in (False, True)
        for place, label in zip(axes.get_xticks(minor=minor), axes.get_xticklabels(minor=minor), strict=True)
        if low <= place <= high and label.get_text()
    }
    assert {"200 kB", "500 kB", "1 MB", "2 MB"} <= shown.keys()
    in_order = sorted(shown.values(), key=lambda box: box.x0)
    assert all(left.x1 < right.x0 for left, right in pairwise(in_order))


def test_equal_points_share_a_text_and_texts_do_not_touch(tmp_path: Path) -> None:
    exact = {20: 0.5, 40: 0.0, 60: 0.0, 80: 0.0, 100: 1.0, 120: 1.0}
    result_file(tmp_path, {f"phone_book_{n}": value for n, value in exact.items()})
    scores = read_scores([tmp_path])
    axes = Figure().add_subplot()
    costs = [1e3, 1e3, 1e3, 1e3, 9e5, 1.13e6]
    name_lengths(axes, scores, apart(costs, span(costs)), span(costs), [], "black")
    assert [text.get_text() for text in axes.texts] == ["120", "40 to 80", "20"]
    again: list[tuple[float, float, float]] = [(0.99, 1.01, 0.0)]  # another line's, at a cost of 1,000
    assert list(length_texts(scores, costs, span(costs), again).values()) == ["120", "20"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1 B"),
        (999.6, "999.6 B"),
        (153600, "153.6 kB"),
        (16256000, "16.26 MB"),
        (5e10, "50 GB"),
        (2e19, "20000 PB"),
    ],
)
def test_bytes_are_short(value: float, text: str) -> None:
    assert short_bytes(value) == text
