"""What the archives of reproduced figures contain, and what merging them updates."""

import json
import shutil
import tarfile
from pathlib import Path
from random import Random

import pytest

from dataset_builders import InputError
from synthetic_training.figures import cost, stages
from synthetic_training.figures.estimate import CUT, RESULTS, cut_runs
from synthetic_training.figures.packing import main, merge, pack
from synthetic_training.training import run_log
from synthetic_training.training.run_folder import METRICS, MODEL, RUN


def members(archive: Path) -> set[str]:
    with tarfile.open(archive) as content:
        return set(content.getnames())


def test_the_last_checkpoints_of_unfinished_runs_are_packed_the_longest_run_first(tmp_path: Path) -> None:
    out = tmp_path / "out"
    runs = {"a": (90, 100), "b": (300,), "c": (200,), "d": (60,), "e": (250,), "done": (400,)}
    for run, steps in runs.items():
        for step in steps:
            (out / "runs" / run / "checkpoints" / f"step_{step}").mkdir(parents=True)
            (out / "runs" / run / "checkpoints" / f"step_{step}" / "model").write_text("{}")
        for name in (RUN, METRICS):
            (out / "runs" / run / name).write_text("{}")
    (out / "runs" / "done" / MODEL).mkdir()
    (out / "runs" / "killed" / "checkpoints" / "step_5.partial").mkdir(parents=True)
    (out / "figure.jsonl").write_text("{}\n")
    names = ["results.tar.gz", *(f"unfinished_{run}.tar.gz" for run in "becad")]
    for most in (1, 5, 8):
        packed = pack(out, tmp_path / str(most), most=most)
        assert [file.name for file in packed] == names[:most]
        assert {file.name for file in (tmp_path / str(most)).iterdir()} == set(names[:most])
    assert members(packed[-2]) == {f"runs/a/{name}" for name in ("checkpoints/step_100/model", RUN, METRICS)}


def test_logs_are_left_out_where_they_do_not_fit_and_then_metrics(tmp_path: Path) -> None:
    out, random = tmp_path / "out", Random(0)
    (out / "runs" / "a").mkdir(parents=True)
    (out / "figure.jsonl").write_bytes(random.randbytes(5_000))
    (out / "runs" / "a" / METRICS).write_bytes(random.randbytes(5_000))
    (out / "runs" / "a.log").write_bytes(random.randbytes(20_000))
    kilobytes = 1000 / 2**20
    found = []
    for size in (40, 20, 8):
        (packed,) = pack(out, tmp_path / str(size), largest=size * kilobytes)
        assert packed.stat().st_size <= size * 1000
        found.append(members(packed))
    assert found == [
        {"figure.jsonl", f"runs/a/{METRICS}", "runs/a.log"}, {"figure.jsonl", f"runs/a/{METRICS}"},
        {"figure.jsonl"},
    ]  # fmt: skip
    with pytest.raises(InputError, match="the results are larger than .* pass a larger --largest"):
        pack(out, tmp_path / "none", largest=4 * kilobytes)
    assert list((tmp_path / "none").iterdir()) == []


def test_a_checkpoint_that_hardly_compresses_and_is_too_large_is_left_out(tmp_path: Path) -> None:
    out = tmp_path / "out"
    step = out / "runs" / "a" / "checkpoints" / "step_1"
    step.mkdir(parents=True)
    for name in (RUN, METRICS):
        (out / "runs" / "a" / name).write_text("{}")
    (out / "figure.jsonl").write_text("{}\n")
    (step / "model").write_bytes(Random(0).randbytes(105_000))
    pack(out, tmp_path / "to", largest=100_000 / 2**20)
    assert [file.name for file in (tmp_path / "to").iterdir()] == ["results.tar.gz"]


def test_a_folder_that_does_not_exist_has_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=f"^error: {tmp_path / 'reprodced'} contains no results; pass the output"
    ):
        main(["pack", str(tmp_path / "reprodced"), "--to", str(tmp_path / "to")])
    assert not (tmp_path / "to").exists()


def test_numbers_that_are_not_above_0_are_refused(tmp_path: Path) -> None:
    (tmp_path / "figure.jsonl").write_text("{}\n")
    for option, value, message in (
        ("--most", "0", "most must be an integer of at least 1, not 0"),
        ("--most", "-1", "most must be an integer of at least 1, not -1"),
        ("--largest", "0", "largest must be a number above 0, not 0.0"),
        ("--largest", "nan", "largest must be a number above 0, not nan"),
    ):
        with pytest.raises(SystemExit, match=f"^error: {message}$"):
            main(["pack", str(tmp_path), "--to", str(tmp_path / "to"), option, value])
    assert not (tmp_path / "to").exists()


def test_a_folder_without_results_cannot_be_drawn_again(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "reslts"):
        with pytest.raises(SystemExit, match=f"^error: {folder} contains no results; pass archives, or"):
            main(["merge", "--into", str(folder)])


def test_the_tables_of_a_folder_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "draw", lambda *_: [])
    names = ("hard_alibi_small", "duplicates_paper")
    for name in names:
        shutil.copy(RESULTS / f"{name}.jsonl", tmp_path)
    (tmp_path / "cost.md").write_text("old")
    made = merge([], tmp_path)
    assert {file.name for file in made} == {f"{n}.{kind}" for n in names for kind in ("jsonl", "md")} | {
        "cost.md"
    }
    assert (tmp_path / "cost.md").read_text() == cost.folder_table(tmp_path) != "old"
    assert not (tmp_path / "claims.md").exists()  # only tables that exist are updated


def test_records_of_runs_that_were_cut_off_are_added_once(tmp_path: Path) -> None:
    first, second = ({"run": name, "step": 1, "steps": 2, "seconds": 3.0} for name in "ab")
    for folder, record in ((tmp_path / "out", first), (tmp_path / "into", second)):
        folder.mkdir()
        (folder / CUT).write_text(json.dumps(record) + "\n")
    archives = pack(tmp_path / "out", tmp_path / "to")
    for _ in range(2):
        assert merge(archives, tmp_path / "into") == []
        assert cut_runs(tmp_path / "into") == [second, first]


def test_metrics_of_a_run_that_has_gone_on_are_not_replaced(tmp_path: Path) -> None:
    """Whatever the order of the archives; checkpoints are unpacked beside the others."""
    packed = []
    for step in (100, 200):
        run = tmp_path / str(step) / "runs" / "a"
        (run / "checkpoints" / f"step_{step}").mkdir(parents=True)
        (run / "checkpoints" / f"step_{step}" / "model").write_text("{}")
        (run / RUN).write_text("{}")
        lines = [{"kind": "eval", "step": one} for one in range(50, step + 1, 50)]
        (run / METRICS).write_text("".join(json.dumps(line) + "\n" for line in lines))
        packed.append(pack(tmp_path / str(step), tmp_path / f"packed_{step}"))  # there are no results yet
        assert members(packed[-1][0]) == {f"runs/a/{RUN}", f"runs/a/{METRICS}"}
    first, second = packed
    for name, calls in (("in_order", [first + second]), ("late", [second, first, first[:1]])):
        for archives in calls:
            merge(archives, tmp_path / f"results_{name}", tmp_path / name)
        run = tmp_path / name / "runs" / "a"
        assert run_log.read_metrics(run / METRICS)[-1]["step"] == 200
        assert {one.name for one in (run / "checkpoints").iterdir()} == {"step_100", "step_200"}
