"""Examples until an accuracy by length, and factors between models."""

from math import exp, isnan, log
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy.stats import ttest_ind

from dataset_builders import InputError
from synthetic_training.figures.examples_by_length import (
    Needed,
    _draw_model,
    as_text,
    factor,
    main,
    needed,
)
from synthetic_training.figures.results import write_results
from tests.figure_lines import Line, a_line, rows_of


def a_run(label: str, seed: int, length: int, accuracies: list[float], **more: object) -> Line:
    curve = [
        {
            "step": 10 * i,
            "examples": 1000 * i,
            "length": length,
            "string_accuracy": accuracy,
            "letter_accuracy": 1.0,
        }
        for i, accuracy in enumerate(accuracies, 1)
    ]
    return {**a_line(label, seed), "curve": curve, **more}


RUNS = [
    *(a_run("T_rope", seed, 50, [0.0, 0.4 + 0.1 * seed, 1.0]) for seed in range(3)),
    *(a_run("mamba", seed, 50, [0.0] * 20 + [0.4, 0.6 + 0.1 * seed]) for seed in range(3)),
    *(a_run("lstm", seed, 50, [0.0] * (90 + seed)) for seed in range(3)),
    a_run("T_rope", 0, 300, [0.0, 0.0, 0.0, 1.0]),
    a_run("mamba", 0, 300, [0.1] * 40),
]


def test_factors_between_models() -> None:
    found = needed(RUNS, 0.5)
    rope, mamba, lstm = (found[label][50] for label in ("T_rope", "mamba", "lstm"))
    assert rope.reached == pytest.approx([2166.67, 2000, 1833.33], rel=1e-4) and rope.grid == 1000
    ratio = factor(mamba, rope)
    assert ratio is not None and not ratio.is_bound
    logs = [[log(n) for n in one.reached] for one in (mamba, rope)]
    interval = ttest_ind(*logs, equal_var=False).confidence_interval(0.95)
    assert (ratio.low, ratio.high) == pytest.approx((exp(interval.low), exp(interval.high)))
    bound = factor(lstm, rope)
    assert bound is not None and bound.is_bound
    assert bound.value == pytest.approx((90_000 * 91_000 * 92_000) ** (1 / 3) / rope.interval[2])
    single = factor(found["mamba"][300], found["T_rope"][300])
    assert single is not None and single.is_bound and single.value == pytest.approx(40_000 / 3500)
    some = factor(Needed((20_000.0,), (80_000,), 1), rope)
    assert some is not None and some.is_bound and some.value == pytest.approx(40_000 / rope.interval[2])
    assert factor(rope, lstm) is None
    one = factor(Needed((3000.0,), (), 1), Needed((1000.0,), (), 1))
    assert one is not None and one.value == pytest.approx(3) and isnan(one.low)
    text = as_text(found, 0.5)
    assert "not within 90,000" in text and "more than 11.4" in text and "1,000 at 50, 1,000 at 300" in text


def test_a_model_of_which_a_seed_missed_the_accuracy_is_drawn_as_a_bound() -> None:
    axes = Figure().subplots()
    all_of_two, one_of_two = Needed((900.0, 1000.0), (), 1), Needed((2000.0,), (8000,), 1)
    own = {50: all_of_two, 100: one_of_two, 300: Needed((), (9000,), 1)}
    _draw_model(axes, own, {"marker": "o", "color": "C0", "label": "Mamba"}, 1.0)
    (bars,) = axes.containers
    hollow = [np.array(one.get_xydata()) for one in axes.lines if one.get_markerfacecolor() == "none"]
    assert list(bars[0].get_xdata()) == [50]
    assert np.concatenate(hollow) == pytest.approx(np.array([[100, 4000], [300, 9000]]))
    assert len(axes.texts) == 2


def test_a_length_without_rope_has_examples_and_no_factor() -> None:
    found = needed([*RUNS, a_run("mamba", 0, 100, [0.0, 0.5]), a_run("mamba", 1, 100, [0.0])], 0.5)
    text = as_text(found, 0.5)
    rows = {tuple(row[:1]): row[1:] for row in rows_of(text.partition("Times the examples")[0])}
    assert rows["model",] == ["50", "100", "300"]
    assert rows["Mamba",][1:] == ["2,000 (1 of 2: not within 1,000)", "not within 40,000"]
    _, _, mamba, lstm = rows_of(text.partition("Times the examples")[2])
    ratio = factor(found["mamba"][50], found["T_rope"][50])
    assert ratio is not None
    assert mamba == [
        "Mamba",
        f"{ratio.value:.1f} ({ratio.low:.1f} to {ratio.high:.1f})",
        "",
        "more than 11.4",
    ]
    assert lstm[2:] == ["", ""]


def test_the_command_draws_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    write_results(files[0], RUNS[:9])
    write_results(files[1], RUNS[9:])
    main([*map(str, files), "--out", str(tmp_path)])
    assert (tmp_path / "examples_by_length.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "examples_by_length.png").read_bytes().startswith(b"\x89PNG")
    drawn = (tmp_path / "examples_by_length.svg").read_bytes()
    main([*map(str, reversed(files)), "--out", str(tmp_path)])
    assert (tmp_path / "examples_by_length.svg").read_bytes() == drawn
    with pytest.raises(SystemExit, match="none: no such file"):
        main([str(tmp_path / "none"), "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match="accuracy must be above 0 and at most 1, not 2"):
        main([str(files[0]), "--out", str(tmp_path), "--accuracy", "2"])
    once = (tmp_path / "examples_by_length.md").read_text()
    main([*map(str, files), str(files[0]), "--out", str(tmp_path)])
    assert (tmp_path / "examples_by_length.md").read_text() == once
    swept = [a_run("T_rope", 0, 50, [1.0], sweep={"lr": lr}) for lr in (1, 2)]
    with pytest.raises(
        InputError, match="T_rope has results of several panels or swept values at 50 letters"
    ):
        needed(swept, 0.5)
