"""What ``reproduce`` prints: the plan, a bar per run, and lines if there is no terminal."""

import io
import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from dataset_builders.workers import Job
from synthetic_training.__main__ import main
from synthetic_training.figures import execute
from synthetic_training.figures import progress as progress_module
from synthetic_training.figures.estimate import expected_cpu_hours, expected_gpu_hours
from synthetic_training.figures.figure_file import read_figure, shipped
from synthetic_training.figures.ledger import Work
from synthetic_training.figures.plan import Run, plan
from synthetic_training.figures.progress import Progress, last_step
from synthetic_training.training.run_log import read_lines
from tests.tiny_figure import a_figure, runs_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def write_step(folder: Path, step: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"kind": "train", "step": step}) + "\n")


def jobs_of(runs: list[Run], folder: Path) -> tuple[dict[str, Run], list[Job]]:
    return {run.name: run for run in runs}, [Job(run.name, [], folder / f"{run.name}.log") for run in runs]


def test_a_terminal_shows_a_bar_for_each_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "_BETWEEN_LOOKS", 0.0)
    runs, (first, second) = jobs_of(runs_of(a_figure(tmp_path / "one.yaml")), tmp_path)
    write_step(tmp_path / first.name, 6)  # of an earlier call
    stream = Terminal()
    progress = Progress(runs, tmp_path, "one_small", stream)
    progress.started(first, 0)
    progress.started(second, 1)
    write_step(tmp_path / second.name, 15)
    progress.waiting()
    shown = stream.getvalue()
    assert "T_hard_alibi, seed 3:  20%" in shown and "6/30" in shown
    progress.ended(second, 0)
    progress.ended(first, 1)
    progress.close()
    shown = stream.getvalue()
    assert "one_small, 0 of 2 runs:  10%" in shown and "768/7.68k" in shown  # 6 of 60 steps of 128 tokens
    assert "one_small, 2 of 2 runs: 100%" in shown.splitlines()[-1]


def test_without_a_terminal_there_are_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "_BETWEEN_LINES", 0.0)
    runs, (first, _) = jobs_of(runs_of(a_figure(tmp_path / "one.yaml")), tmp_path)
    stream = io.StringIO()
    progress = Progress(runs, tmp_path, "one_small", stream)
    progress.started(first, 0)
    progress.waiting()
    write_step(tmp_path / first.name, 12)
    progress.waiting()
    progress.waiting()
    progress.stopping()
    progress.close()
    lines = stream.getvalue().splitlines()
    assert lines[0] == f"started: T_hard_alibi, seed 3; log in {tmp_path / first.name}.log"
    assert lines[1] == "T_hard_alibi, seed 3: step 12 of 30"
    assert all(line.startswith("one_small: at most 00:0") for line in lines[2:-1]) and len(lines) == 5
    assert lines[-1].startswith("stopping: the runs save a checkpoint")


def test_the_last_step_is_that_of_the_last_whole_line(tmp_path: Path) -> None:
    assert last_step(tmp_path / "none") == 0
    for step in range(0, 2000, 10):
        write_step(tmp_path, step)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "train", "st')
    assert last_step(tmp_path) == 1990


def test_gpu_hours_are_those_of_committed_runs_or_speeds() -> None:
    file = shipped()["length_generalization"]
    runs = plan(read_figure(file).scales["paper"], str(file))
    hours, known = expected_gpu_hours(runs)
    assert known == len(runs) and 0.2 < hours < 5
    (one,) = plan(read_figure(file).scales["paper"], str(file), ["T_rope"], [99])
    results = [
        result
        for result in read_lines(Path("synthetic_training/figures/results/length_generalization_paper.jsonl"))
        if result["label"] == "T_rope"
    ]
    expected = (
        sum(result["seconds"] / result.get("runs_per_gpu", 1) for result in results) / len(results) / 3600
    )
    assert expected_gpu_hours([one])[0] == pytest.approx(expected, rel=0.3)
    small = plan(read_figure(file).scales["small"], str(file))
    assert expected_gpu_hours(small) == (0.0, 0)
    hours, known = expected_cpu_hours(small)
    done = read_lines(Path("synthetic_training/figures/results/length_generalization_small.jsonl"))
    assert known == len(small) == 10
    assert hours == pytest.approx(sum(one["seconds"] for one in done) / 3600 / 3, rel=0.05)  # of three seeds
    assert expected_cpu_hours(runs) == (0.0, 0)


_FAKE = """
import json, os, pathlib, signal, sys, time
name, result, checkpoint, content = sys.argv[1:]
def stop(number, frame):
    pathlib.Path(checkpoint).write_text("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, stop)
print(os.getpgid(0), flush=True)
if name == "lstm" and not pathlib.Path(checkpoint).exists():
    time.sleep(100)
pathlib.Path(result).write_text(content)
"""
"""A run that is finished at once, unless it is the LSTM's first one."""


def test_ctrl_c_keeps_what_is_done_and_the_command_it_names_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = a_figure(tmp_path / "one.yaml", tests=[]), tmp_path / "out"
    sleeper = runs_of(file)[1]
    checkpoint, log = tmp_path / "checkpoint", out / "runs" / f"{sleeper.name}.log"

    def fake(work: Work, *rest: object) -> Job:
        run, result = work.run, execute.result_file(work.name, out)
        command = [sys.executable, "-S", "-c", _FAKE, run.label, str(result), str(checkpoint), _result(run)]
        return Job(run.name, command, out / "runs" / f"{run.name}.log")

    def press_ctrl_c() -> None:
        end = time.monotonic() + 60
        while not ((out / "one_small.md").exists() and log.read_text()) and time.monotonic() < end:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(execute, "make_job", fake)
    # a worker of xdist ignores the signal
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    hand = threading.Thread(target=press_ctrl_c)
    hand.start()
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", str(file), "--out", str(out)])
    hand.join()
    signal.signal(signal.SIGINT, before)
    assert ended.value.code == 130
    shown = capsys.readouterr().err
    assert "stopping: the runs save a checkpoint" in shown and "interrupted: 1 of 2 runs finished" in shown
    assert checkpoint.read_text() == "saved"
    # the signal of a terminal goes to all of this process's group, of which no run is
    assert int(log.read_text().split()[0]) != os.getpgid(0)
    assert [result["label"] for result in read_lines(out / "one_small.jsonl")] == ["T_hard_alibi"]

    words = next(line for line in shown.splitlines() if line.startswith("python -m synthetic_training "))
    main(shlex.split(words)[3:])
    assert [result["label"] for result in read_lines(out / "one_small.jsonl")] == ["T_hard_alibi", "lstm"]
    assert "2 runs, 1 finished, 1 to do" in capsys.readouterr().out
    assert not any(out.glob("**/.*.partial"))


def _result(run: Run) -> str:
    """The result of a run's job."""
    curve = {"step": 30, "examples": 100, "tokens": 3840, "length": 5, "letter_accuracy": 0.6}
    curve |= {"string_accuracy": 0.5, "string_accuracy_stderr": 0.1}
    return json.dumps({
        "config": run.config.as_json(), "parameters": 1, "git_revision": "a", "versions": {}, "machine": "m",
        "seconds": 1.0, "tokens": 3840, "tokens_per_second": 9.0, "curve": [curve], "final_loss": 1.0,
        "tests": {"one_small": []},
    })  # fmt: skip
