"""The table and the plot of the comparison with Zoology's trainer, and merging its files."""

import math
from pathlib import Path
from typing import Any

import pytest

from dataset_builders.files import read_json, write_json
from synthetic_training.speed import mqar_report
from synthetic_training.speed.mqar_report import save, seeds_table, table
from synthetic_training.speed.mqar_run import best_run, ranked
from tests.figure_lines import rows_of
from tests.mqar_results import FAILED, MEASURED, result


def test_the_table_shows_the_best_learning_rate_of_each_trainer(tmp_path: Path) -> None:
    _, _, *rows = rows_of(table(MEASURED))
    assert rows == [
        ["attention", "(64, 4)", "0.002", "0.002", "0.994", "0.995", "3,000", "2,000", "1,000", "12,000",
         "12.0x", "10x"],
        ["attention_mlp", "(64, 4)", "", "0.01", "", "0.999", "", "1,000", "", "1,000", "", ""],
        ["mamba", "(64, 4)", "failed", "0.01", "failed", "0.900", "failed", "1,000", "failed", "1,000", "",
         "4x"],
    ]  # fmt: skip
    _, svg = save(MEASURED, tmp_path / "mqar.json")
    assert svg.name == "mqar.svg" and "<!-- Zoology's trainer -->" in svg.read_text()


def test_the_accuracy_of_every_seed_is_shown() -> None:
    ours = [{**result(1e-3, 0.2, 0.3), "seed": seed, "precision": "bf16"} for seed in (4, 2)]
    ours.append({**result(1e-3, 0.9, 0.8), "seed": 4, "precision": "fp32", "end": "time"})
    about = {"model": "mamba", "length": 64, "pairs": 4, "ours": [*ours, FAILED]}
    _, _, *rows = rows_of(seeds_table([{**about, "zoology": [result(1e-3, 0.5)]}]))
    assert rows == [
        ["mamba", "(64, 4)", "ours", "bf16", "0.001", "4, 2", "0.300, 0.300"],
        ["mamba", "(64, 4)", "ours", "fp32", "0.001", "4", "0.900 (cut off after epoch 2)"],
    ]


def test_learning_rates_are_ranked_by_examples_until_the_accuracy_is_reached() -> None:
    runs = [result(1.0, 0.6), FAILED, result(2.0, 0.5, 0.999), result(3.0, 0.5, 0.7), result(4.0, 0.991)]
    assert [run["lr"] for run in ranked(runs)] == [4.0, 2.0, 3.0, 1.0, 1e-3]
    assert best_run(runs) is runs[4] and best_run([FAILED]) is None
    # a run that failed later counts with what it had
    assert best_run([FAILED, {**result(1.0, 0.2), "failed": "RuntimeError: "}]) is not None


def test_files_of_several_learning_rates_become_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    about = {"model": "attention", "length": 64, "pairs": 4}
    runs: list[dict[str, Any]]
    runs = [{"ours": [result(1e-3, 0.6)], "zoology": [result(1e-3, 0.3)]},
            {"ours": [result(1e-2, 0.9, speed=8000.0)], "zoology": [], "ratio": 1.0}]  # fmt: skip
    files = [tmp_path / "1.json", tmp_path / "2.json"]
    for file, one in zip(files, runs, strict=True):
        write_json(file, {"measured": [{**about, **one}], "machine": file.stem})
    out = tmp_path / "both.json"
    mqar_report.main([*map(str, files), str(files[0]), "--out", str(out)])
    content = read_json(out)
    assert [one["machine"] for one in content["files"]] == ["1", "2", "1"]
    (one,) = content["measured"]
    assert [run["lr"] for run in one["ours"]] == [1e-3, 1e-2] and one["ratio"] == 8.0
    assert "0.900" in capsys.readouterr().out and out.with_suffix(".png").exists()
    with pytest.raises(SystemExit, match="both.json exists; pass another file with --out"):
        mqar_report.main([str(files[0]), "--out", str(out)])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "Input should be"),
        ({"measured": []}, "measured: List should have at least 1 item"),
        ({"measured": [{"ours": 3}]}, "measured.0.model: Field required"),
        ({"measured": [{**MEASURED[1], "model": ["mamba"]}]}, "measured.0.model: "),
        ({"measured": [{**MEASURED[1], "ours": [{"lr": 1e-3}]}]}, "measured.0.ours.0"),
        ({"measured": [{**MEASURED[1], "ours": [{**result(1e-3), "curve": [{}]}]}]}, "measured.0.ours.0"),
        ({"measured": [{**MEASURED[1], "zoology": [result(1e-3, 0.5, speed=0.0)]}]}, "measured.0.zoology.0"),
        ({"measured": [{**MEASURED[1], "zoology": [result(1e-3, math.nan)]}]}, "measured.0.zoology.0"),
    ],
)
def test_files_of_others_are_refused_and_nothing_is_written(
    content: Any, message: str, tmp_path: Path
) -> None:
    write_json(tmp_path / "bad.json", content)
    with pytest.raises(SystemExit, match=f"bad.json was not written by synthetic_training.* {message}"):
        mqar_report.main([str(tmp_path / "bad.json"), "--out", str(tmp_path / "out.json")])
    assert [file.name for file in tmp_path.iterdir()] == ["bad.json"]


def test_merging_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is nothing to merge; pass files"):
        mqar_report.main(["--out", str(tmp_path / "out.json")])
