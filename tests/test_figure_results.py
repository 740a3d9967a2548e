"""What is made from lines of results (curves, bands, tables, plots, costs), compared with known numbers."""

import json
import math
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.files import read_json
from synthetic_training.figures.cost import SPEED, Baseline, baselines, costs, table
from synthetic_training.figures.cost import main as cost_main
from synthetic_training.figures.draw import draw
from synthetic_training.figures.figure_file import Figure, Scale
from synthetic_training.figures.results import read_results, write_results
from synthetic_training.figures.summary import (
    Band,
    accuracy_name,
    best_of,
    by_key,
    by_length,
    by_swept,
    evaluation_grid,
    examples_until,
    final_loss,
    geometric_mean,
    grouped,
    hours,
    hours_of,
    label_of,
    lowest,
    mean_curve,
    panels_of,
)
from synthetic_training.figures.tables import report
from tests.figure_lines import Line, a_line, a_test, rows_of


def rated(lr: float, loss: float | None, seed: int = 0) -> Line:
    line = a_line(seed=seed, sweep={"lr": lr}, final_loss=loss)
    return {**line, "config": {**line["config"], "lr": lr}, "run": f"{lr}-{seed}"}


def a_figure(x: Any, **scale: Any) -> Figure:
    return Figure("Title", x, "What it found.", {"small": Scale({"mamba": {}}, **scale)})


def plain(bands: list[Band]) -> list[tuple[float, ...]]:
    return [tuple(round(number, 9) for number in astuple(band)) for band in bands]


def test_a_run_that_stopped_early_stays_at_its_last_value() -> None:
    long, short = a_line(seed=0, accuracies=(0.1, 0.2, 0.6, 0.8)), a_line(seed=2, accuracies=(0.3, 1.0))
    assert plain(mean_curve([long, short])) == [
        (1010, 0.2, 0.1, 0.3),
        (2020, 0.6, 0.2, 1.0),
        (3000, 0.8, 0.6, 1.0),
        (4000, 0.9, 0.8, 1.0),
    ]
    assert [band.mean for band in mean_curve([short])] == [0.3, 1.0]


def test_the_examples_that_an_accuracy_took() -> None:
    line = a_line(accuracies=(0.1, 0.5, 0.4, 0.99))
    found = [examples_until(line, accuracy) for accuracy in (0.05, 0.1, 0.3, 0.5, 0.99, 1.0)]
    assert found == [pytest.approx(500), 1000, pytest.approx(1500), 2000, 4000, None]
    assert evaluation_grid([line, a_line(seed=1, accuracies=(0.1,))]) == 1000


def test_the_interval_of_a_geometric_mean() -> None:
    """100, 200 and 400 differ by log 2, and t is 4.3027 for two degrees of freedom."""
    mean, low, high = geometric_mean([100, 400, 200])
    assert (mean, high / mean) == (pytest.approx(200), pytest.approx(2 ** (4.3027 / 3**0.5), rel=1e-4))
    assert mean / low == pytest.approx(high / mean)
    assert geometric_mean([7.0])[0] == 7 and math.isnan(geometric_mean([7.0])[1])


def test_lines_are_in_the_order_of_models_sweeps_and_seeds() -> None:
    lines = [
        a_line("other"), a_line("lstm"), a_line("T_rope", 10), a_line("T_rope", 9),
        *(a_line("mamba", sweep={"lr": lr}) for lr in (1e-2, 3e-4)),
    ]  # fmt: skip
    groups = grouped(lines, label_of)
    assert list(groups) == ["T_rope", "mamba, lr = 0.0003", "mamba, lr = 0.01", "lstm", "other"]
    assert [line["seed"] for line in groups["T_rope"]] == [9, 10]
    assert list(grouped([a_line("width_128"), a_line("width_64"), a_line("2")], label_of)) == [
        "2",
        "width_64",
        "width_128",
    ]
    lines = [a_line(seed=seed, sweep={"lr": lr}) for lr, seed in ((1e-2, 0), (3e-4, 1), (3e-4, 0))]
    assert grouped(lines, lambda line: line["label"]) == {lines[0]["label"]: lines[::-1]}
    lines = [a_line(panel=panel) for panel in ("c", "b", "a", "b")]
    assert panels_of(lines, ["b", "a", "none"]) == ["b", "a", "c"]
    assert panels_of([a_line()], []) == [None]
    assert accuracy_name([{**a_line(), "config": {"task": "mqar"}}, a_line()]) == "string accuracy"


def test_bands_over_lengths_and_rates() -> None:
    one = a_line(tests=[a_test(4, 0.5), a_test(8, 0.1), a_test(4, 0.0, "duplicate_ngram")])
    other = a_line(seed=1, tests=[a_test(4, 1.0)])
    assert by_length([one, other], "copy") == [Band(4, 0.75, 0.5, 1.0), Band(8, 0.1, 0.1, 0.1)]
    assert by_length([one, other], "duplicate_ngram, n = 3") == [Band(4, 0.0, 0.0, 0.0)]
    twice = [[a_test(4, accuracy / n, "duplicate_ngram", n) for n in (2, 1)] for accuracy in (0.25, 0.75)]
    lines = [a_line(seed=seed, tests=[a_test(4, 1.0), *tests]) for seed, tests in enumerate(twice)]
    assert by_key(lines) == [Band(1, 0.5, 0.25, 0.75), Band(2, 0.25, 0.125, 0.375)]
    lines = [rated(1e-2, 0.5), rated(1e-3, 0.1), rated(1e-3, 0.3, 1), rated(1e-1, None)]
    bands = by_swept(lines, "lr", final_loss)
    assert plain(bands) == [(1e-3, 0.2, 0.1, 0.3), (1e-2, 0.5, 0.5, 0.5)]
    assert lowest(bands).x == 1e-3


def test_a_run_that_stands_there_twice_took_its_time_once() -> None:
    lines = [a_line(), a_line(), a_line(seed=1), a_line(seed=2, machine="NVIDIA H200", seconds=7200)]
    assert hours(lines) == {"x86_64": (1.0, 2), "NVIDIA H200": (2.0, 1)}
    assert hours_of({**a_line(seconds=3600), "gpus": 4, "runs_per_gpu": 2}) == 2.0


def test_the_table_of_training_examples() -> None:
    lines = [
        a_line("lstm", accuracies=(0.0, 0.1)),
        a_line("mamba", 0, (0.5, 0.99)),
        a_line("mamba", 1, (0.2, 0.6)),
        a_line("T_rope", 0, (1.0,)),
        a_line("T_rope", 2, (0.6, 1.0)),
    ]
    text = report(a_figure("examples"), lines)
    header, _, *rows = rows_of(text)
    assert header == [
        "model", "parameters", "lr", "seeds", "examples until 0.5", "examples until 0.99",
        "evaluated every", "accuracy at the end",
    ]  # fmt: skip
    assert rows == [
        [
            "T_rope",
            "1,000",
            "0.001",
            "2",
            "652 (22 to 18,978)",
            "1,412 (15 to 128,836)",
            "1,020",
            "1.000 ± 0.000",
        ],
        [
            "mamba",
            "1,000",
            "0.001",
            "2",
            "1,329 (36 to 49,565)",
            "2,000 (1 of 2: not within 2,020)",
            "1,005",
            "0.795 ± 0.276",
        ],
        ["lstm", "1,000", "0.001", "1", "not within 2,000", "not within 2,000", "1,000", "0.100"],
    ]
    # of seeds that end at different numbers, all of which miss an accuracy, only the fewest holds for all
    missed = [a_line("lstm", seed, accuracies) for seed, accuracies in ((0, (0.1,)), (1, (0.1, 0.1)))]
    assert rows_of(report(a_figure("examples"), missed))[2][4] == "not within 1,000"
    assert "2.5 CPU hours of training (5 runs, x86_64)." in text
    assert "String accuracy at length 5." in text and "The paper: What it found." in text


def test_the_table_of_lengths_has_a_row_of_each_test() -> None:
    tests = [a_test(4, 0.5), a_test(8, 0.1), a_test(4, 0.25, "duplicate_ngram", 2)]
    lines = [a_line(tests=tests), a_line(seed=1, tests=[a_test(4, 1.0)])]
    header, _, *rows = rows_of(report(a_figure("length"), lines))
    assert header[4:] == ["test", "4", "8"]
    assert [row[4:] for row in rows] == [
        ["copy", "0.750 ± 0.354", "0.100"],
        ["duplicate_ngram, n = 2", "0.250", ""],
    ]


def test_the_tables_of_learning_rates_and_panels(tmp_path: Path) -> None:
    lines = [rated(1e-2, 0.5), rated(1e-3, 0.1), {**rated(1e-3, 0.3), "label": "lstm"}]
    text = report(a_figure("lr"), lines)
    assert rows_of(text) == [
        ["model", "0.001", "0.01", "lowest at"], *rows_of(text)[1:2],
        ["mamba", "0.1000", "0.5000", "0.001"], ["lstm", "0.3000", "", "0.001"],
        ["model", "0.001", "0.01"], *rows_of(text)[5:6],
        ["mamba", "0.500", "0.500"], ["lstm", "0.500", ""],
    ]  # fmt: skip
    wide = [
        {**a_line("mamba", final_loss=loss), "sweep": {"model_args.std": std}}
        for std, loss in ((2, 0.5), (1, 0.7))
    ]
    wide.append(rated(1e-3, 0.1))  # of an earlier file, which swept something else
    draw(a_figure("model_args.std"), wide, tmp_path, "wide")
    drawn = (tmp_path / "wide.svg").read_text()
    assert all(f"<!-- {text} -->" in drawn for text in ("std", "1", "2", "Mamba"))
    text = report(a_figure("model_args.std"), wide)
    assert rows_of(text)[::2][:2] == [["model", "1", "2", "lowest at"], ["mamba", "0.7000", "0.5000", "2"]]
    assert "Training loss at the end, by std:" in text
    panels = [a_line(panel="b"), a_line(panel="a", seed=1)]
    text = report(a_figure("examples", panels={"b": {}, "a": {}}), panels)
    assert text.index("## b") < text.index("## a") and len(rows_of(text)) == 6


def test_accuracy_by_a_size_at_the_best_learning_rate(tmp_path: Path) -> None:
    found = {(16, 1e-3): (0.1, 0.3), (16, 1e-2): (0.6, 0.0), (32, 1e-3): (1.0, 0.5), (32, 1e-2): (0.7, 0.7)}
    lines = [
        a_line(seed=seed, accuracies=(accuracy,), sweep={"model_args.width": width, "lr": lr})
        for (width, lr), accuracies in found.items()
        for seed, accuracy in enumerate(accuracies)
    ]
    lines += [{**lines[0], "label": "lstm"}, rated(1e-3, 0.1)]  # the last of another version of the file
    kept = best_of([*lines, a_line()], "lr")  # the last does not have the setting
    rates = {(line["sweep"].get("model_args.width"), line["sweep"]["lr"]) for line in kept}
    # of (16, 1e-3) and (16, 1e-2) the second has the higher mean
    assert {(16, 1e-2), (32, 1e-3)} < rates and (32, 1e-2) not in rates
    figure = replace(a_figure("model_args.width"), best_of="lr")
    text = report(figure, lines)
    assert [row for row in rows_of(text) if row[0] in ("model", "mamba", "lstm")] == [
        ["model", "16", "32"], ["mamba", "0.300 ± 0.424", "0.750 ± 0.354"], ["lstm", "0.100", ""],
        ["model", "16", "32"], ["mamba", "0.01", "0.001"], ["lstm", "0.001", ""],
    ]  # fmt: skip
    draw(figure, lines, tmp_path, "best")
    drawn = (tmp_path / "best.svg").read_text()
    assert "<!-- string accuracy, best learning rate -->" in drawn and "<!-- width -->" in drawn
    queries = [{**line, "config": {**line["config"], "task": "mqar"}} for line in lines]
    draw(figure, queries, tmp_path, "queries")
    assert "<!-- query accuracy, best learning rate -->" in (tmp_path / "queries.svg").read_text()
    assert "String accuracy at the end" in text and "Query accuracy at the end" in report(figure, queries)


@pytest.mark.parametrize("x", ["examples", "length", "lr"])
def test_axes_have_plain_numbers(tmp_path: Path, x: str) -> None:
    """matplotlib labels logarithmic axes with formulas, but plots of this project show plain text."""
    lines = [{**rated(lr, lr * 10), "tests": [a_test(4, 0.5), a_test(8, 0.1)]} for lr in (1e-2, 1e-3)]
    _, svg = draw(a_figure(x), lines, tmp_path, "plot")
    assert "mathdefault" not in svg.read_text() and "$" not in svg.read_text()


@pytest.mark.parametrize("x", ["examples", "length", "lr"])
def test_the_same_results_in_any_order_give_the_same_plot(tmp_path: Path, x: str) -> None:
    tests = [a_test(4, 0.5), a_test(8, 0.1), a_test(4, 0.25, "duplicate_ngram", 2)]
    lines = [
        {**rated(lr, lr * 10, seed), "label": label, "panel": panel, "tests": tests}
        for lr in (1e-2, 1e-3)
        for seed in (0, 1)
        for label in ("mamba", "T_rope", "something")
        for panel in ("a", "b")
    ]
    one = draw(a_figure(x, panels={"b": {}, "a": {}}), lines, tmp_path, "one")
    other = draw(a_figure(x, panels={"b": {}, "a": {}}), lines[::-1], tmp_path, "other")
    assert [file.read_bytes() for file in one] == [file.read_bytes() for file in other]
    single, _ = draw(a_figure(x), lines[:1], tmp_path, "single")
    assert single.read_bytes().startswith(b"\x89PNG")


def test_results_are_kept_as_they_are_and_others_refused(tmp_path: Path) -> None:
    file = tmp_path / "f_small.jsonl"
    lines = [a_line(seed=seed) for seed in range(3)]
    assert read_results(file) == []
    write_results(file, lines)
    assert read_results(file) == lines and [f.name for f in tmp_path.iterdir()] == [file.name]
    file.write_text('{"kind": "train", "step": 1}\n')
    with pytest.raises(InputError, match="not the result of a figure's run"):
        read_results(file)


def test_costs_beside_the_papers_trainer() -> None:
    def on_gpu(label: str, parameters: int, seed: int = 0) -> Line:
        line = a_line(label, seed, parameters=parameters, tokens=3_600_000)
        return {**line, "config": {**line["config"], "device": "cuda"}}

    known = {"mamba": Baseline(1000.0, 100), "T_rope": Baseline(500.0, 100)}
    lines = [on_gpu("T_rope", 100), on_gpu("T_rope", 100, 1), on_gpu("T_rope", 100), a_line("T_rope", 5)]
    lines += [on_gpu("mamba", 200), on_gpu("lstm", 100), on_gpu("T_rope", 10, 7)]
    # two that shared a GPU took half of it each
    lines += [{**on_gpu("mamba", 100, seed), "runs_per_gpu": 2} for seed in (1, 2)]
    found = {(c.model, c.parameters): c for c in costs(lines, known)}
    assert {key: (c.runs, c.gpu_hours, c.paper_hours) for key, c in found.items()} == {
        ("T_rope", 100): (2, 1.0, pytest.approx(4.0)),
        ("mamba", 200): (1, 0.5, pytest.approx(2.0)),
        ("mamba", 100): (2, 0.5, pytest.approx(2.0)),
        ("T_rope", 10): (1, 0.5, None),
        ("lstm", 100): (1, 0.5, None),
    }
    text = table(list(found.values()))
    assert ["all", "", "5", "18,000,000", "2.000", "8.000", "4.0x"] in rows_of(text)
    assert "mamba: tokens per second scaled by parameters, 2.00 times those measured." in text
    assert "T_rope: tokens" not in text
    alike = replace(found["mamba", 200], parameters=201)
    assert table([*found.values(), alike]).count("mamba: tokens per second scaled") == 1
    assert table([]) == "None of these runs used a GPU."


def test_the_measured_baselines_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    known = baselines(read_json(SPEED))
    assert set(known) == {"T_rope", "T_nope", "T_alibi", "T_hard_alibi", "mamba", "lstm"}
    assert known["mamba"].parameters == 81_218_560
    file = tmp_path / "f.jsonl"
    file.write_text(json.dumps(a_line()) + "\n")
    cost_main([str(file)])
    assert capsys.readouterr().out == "None of these runs used a GPU.\n"
    with pytest.raises(SystemExit, match="error: .*none.jsonl: no such file"):
        cost_main([str(file), str(tmp_path / "none.jsonl")])
