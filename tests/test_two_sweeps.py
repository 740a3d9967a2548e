"""Figures that sweep another setting besides the one on their axis."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from synthetic_training.figures.draw import draw
from synthetic_training.figures.figure_file import Figure
from synthetic_training.figures.tables import report
from tests.figure_lines import Line, a_line, rows_of
from tests.test_figure_results import a_figure


def swept(loss: float, accuracy: float, **sweep: Any) -> Line:
    return a_line(accuracies=(accuracy,), final_loss=loss, sweep=sweep)


def shown(figure: Figure, lines: list[Line], folder: Path) -> tuple[list[list[str]], str]:
    """The rows of the table, and the SVG."""
    _, svg = draw(figure, lines, folder, "figure")
    return rows_of(report(figure, lines)), svg.read_text()


def test_values_of_another_setting_are_not_averaged_as_seeds_are(tmp_path: Path) -> None:
    lines = [
        swept(10 * lr + depth / 10, accuracy=lr * depth, lr=lr, depth=depth)
        for lr in (0.01, 0.1)
        for depth in (1, 3)
    ]
    rows, svg = shown(a_figure("lr"), lines, tmp_path)
    assert rows[2:4] == [
        ["mamba, depth = 1", "0.2000", "1.1000", "0.01"],
        ["mamba, depth = 3", "0.4000", "1.3000", "0.01"],
    ]
    assert rows[6:] == [["mamba, depth = 1", "0.010", "0.100"], ["mamba, depth = 3", "0.030", "0.300"]]
    assert all(f"<!-- Mamba, depth = {depth} -->" in svg for depth in (1, 3))


def test_nor_are_they_at_the_best_value_of_a_third(tmp_path: Path) -> None:
    lines = [
        swept(1.0, accuracy=lr * depth * width / 100, lr=lr, depth=depth, width=width)
        for lr in (0.01, 0.1)
        for depth in (1, 3)
        for width in (16, 32)
    ]
    rows, svg = shown(replace(a_figure("width"), best_of="lr"), lines, tmp_path)
    assert rows[2:4] == [["mamba, depth = 1", "0.016", "0.032"], ["mamba, depth = 3", "0.048", "0.096"]]
    assert rows[6:] == [["mamba, depth = 1", "0.1", "0.1"], ["mamba, depth = 3", "0.1", "0.1"]]
    assert all(f"<!-- Mamba, depth = {depth} -->" in svg for depth in (1, 3))
