"""``reproduce``: how a figure's runs are done, which files they leave, and how they end."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

from dataset_builders import InputError, workers
from dataset_builders.workers import Job, Watcher, last_line, run_jobs, worker_slots
from synthetic_training.__main__ import main
from synthetic_training.figures.reproduce import reproduce
from synthetic_training.training.run_log import read_lines, read_metrics
from tests.forked import Forked
from tests.tiny_figure import LSTM, a_figure, runs_of
from tests.tiny_run import SETTINGS


@pytest.fixture
def forked_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs start without importing everything again; their commands are those of new interpreters."""

    def start(job: Job, place: Mapping[str, str]) -> Forked:
        assert job.command[0] == sys.executable
        return Forked(job.command[1:], Path.cwd(), {**os.environ, **place}, job.log)

    monkeypatch.setattr(workers, "_start", start)


def terminate_when(moment: Callable[[], bool]) -> None:
    """Send SIGTERM to this process, in which a running command handles it."""
    end = time.monotonic() + 120
    while not moment() and time.monotonic() < end:
        time.sleep(0.01)
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        os.kill(os.getpid(), signal.SIGTERM)


def test_runs_end_when_the_time_is_over(
    forked_jobs: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = a_figure(tmp_path / "one.yaml", runs={"lstm": LSTM})
    with pytest.raises(InputError, match=r"minutes must be a number above 0, not -1"):
        reproduce(str(file), out=tmp_path / "out", minutes=-1)
    with pytest.raises(InputError, match="whole runs need the minutes of a call; pass --minutes"):
        reproduce(str(file), out=tmp_path / "out", whole_runs=True)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", str(file), "--out", str(tmp_path / "out"), "--minutes", "1e-6"])
    signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 124
    *_, waits, kept, command = capsys.readouterr().err.splitlines()
    assert waits == "the time limit is reached: the runs save a checkpoint and end"
    assert kept.startswith("the time limit is reached: 0 of 1 run finished; to continue the others from")
    assert command.startswith(f"python -m synthetic_training reproduce {file} ")
    assert command.endswith(" --minutes 1e-06 --resume")


@pytest.mark.parametrize("kind", ["png", "svg", "md"])
def test_plots_and_tables_of_others_are_not_overwritten(tmp_path: Path, kind: str) -> None:
    file, out = a_figure(tmp_path / "one.yaml", runs={"lstm": LSTM}), tmp_path / "out"
    out.mkdir()
    (out / f"one_small.{kind}").write_text("mine")
    with pytest.raises(InputError, match=f"one_small.{kind} was not .* and is not overwritten"):
        reproduce(str(file), out=out)
    assert [one.read_text() for one in out.iterdir()] == ["mine"]


def test_a_figure_killed_resumed_shared_and_drawn_again(
    forked_jobs: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    settings = {
        **SETTINGS,
        "model_args": {},
        "steps": 400,
        "save_every": 20,
        "log_every": 20,
        "eval_every": 200,
    }
    sizes = {"num_attention_heads": 4, "max_position_embeddings": 8}
    # a window of 8 tokens is too short for the rows, which shows once the model is there
    bad = {"model": "T_rope", "model_args": {"hidden_size": 32, "num_hidden_layers": 1, **sizes}}
    file = a_figure(tmp_path / "one.yaml", settings=settings, runs={"lstm": LSTM, "bad": bad})
    run = runs_of(file)[0]
    folder = out / "runs" / run.name

    before = signal.getsignal(signal.SIGTERM)
    killer = threading.Thread(target=terminate_when, args=(lambda: any(folder.glob("checkpoints/step_*")),))
    killer.start()
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", str(file), "--models", "lstm", "--out", str(out)])
    killer.join()
    signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 143
    shown = capsys.readouterr()
    assert shown.out.startswith(
        f"one_small: 1 run, 0 finished, 1 to do, 1 at a time\nresults in {out / 'one_small.jsonl'}\n"
    )
    assert f"started: lstm, seed 3; log in {folder}.log" in shown.err
    assert "stopping: the runs save a checkpoint" in shown.err
    assert "interrupted: 0 of 1 run finished" in shown.err
    assert shown.err.endswith(f" reproduce {file} --scale small --models lstm --out {out} --resume\n")
    assert "train --resume" in last_line(Path(f"{folder}.log"))
    written = (folder / "metrics.jsonl").stat().st_size
    assert not (folder / "model").exists() and not (out / "one_small.jsonl").exists()

    with pytest.raises(InputError, match=r"contains an unfinished run; pass --resume"):
        reproduce(str(file), out=out)
    before_dry = {f: f.stat().st_mtime_ns for f in out.glob("**/*")}
    main(["reproduce", str(file), "--out", str(out), "--dry-run"])
    planned = capsys.readouterr().out
    assert "2 runs, 0 finished, 2 to do" in planned and "51,200" in planned  # 400 steps of 4 rows of 32
    assert re.search(r"lstm, seed 3 .* at step \d+ of 400 .*lstm-", planned) and "new" in planned
    assert {f: f.stat().st_mtime_ns for f in out.glob("**/*")} == before_dry
    with pytest.raises(SystemExit) as ended:
        main(["reproduce", str(file), "--out", str(out), "--resume", "--revision", "abc"])
    signal.signal(signal.SIGTERM, before)
    assert str(ended.value).startswith(
        "error: the run (bad, seed 3) failed: T_rope has a context window of 8 tokens"
    )
    assert re.search(r"lstm, seed 3: string accuracy 0\.\d{3} at 5 letters, ", capsys.readouterr().out)
    assert (folder / "metrics.jsonl").stat().st_size > written > 0
    steps = [line["step"] for line in read_metrics(folder / "metrics.jsonl") if line["kind"] == "train"]
    # and one at which the run was interrupted
    assert set(steps) >= set(range(20, 401, 20)) and steps == sorted(steps) and len(steps) <= 21
    assert (folder / "model").is_dir() and not (folder / "checkpoints").exists()

    (line,) = read_lines(out / "one_small.jsonl")
    assert line["git_revision"] == "abc" and "runs_per_gpu" not in line
    assert {k: line[k] for k in ("figure", "scale", "label", "panel", "seed", "sweep", "run")} == {
        "figure": "one", "scale": "small", "label": "lstm", "panel": None, "seed": 3, "sweep": {},
        "run": run.name,
    }  # fmt: skip
    assert line["config"]["lr"] == 1e-3 and line["config"]["device"] == "cpu" and line["config"]["seed"] == 3
    assert (
        line["parameters"] > 1000 and line["git_revision"] and line["versions"]["torch"] and line["machine"]
    )
    assert line["tokens"] == 400 * 4 * 32 and line["tokens_per_second"] > 0 < line["seconds"]
    assert [(p["step"], p["length"], p["tokens"]) for p in line["curve"]] == [
        (step, length, step * 128) for step in (200, 400) for length in (2, 5)
    ]
    assert all(0 <= p["string_accuracy"] <= p["letter_accuracy"] <= 1 for p in line["curve"])
    assert 0 < line["final_loss"] < 3
    assert [(t["task"], t["length"], t["num_examples"]) for t in line["tests"]] == [
        ("copy", 2, 20),
        ("copy", 7, 20),
    ]

    with pytest.raises(InputError, match=r"one_small.jsonl contains results; pass --resume"):
        reproduce(str(file), out=out, models=["lstm"])
    was = {f.name: (f.read_bytes(), f.stat().st_mtime_ns) for f in out.glob("one_small.*")}
    assert set(was) == {"one_small.jsonl", "one_small.png", "one_small.svg", "one_small.md"}
    made = reproduce(str(file), out=out, models=["lstm"], resume=True)
    assert {f.name for f in made} == set(was)
    assert {f.name: f.read_bytes() for f in made} == {name: text for name, (text, _) in was.items()}
    assert (out / "one_small.jsonl").stat().st_mtime_ns == was["one_small.jsonl"][1]

    trained = {f: f.stat().st_mtime_ns for f in folder.glob("**/*")}
    tests = [{"task": "duplicate_ngram", "n": 2, "lengths": [6], "num_examples": 10}]
    other = a_figure(tmp_path / "other.yaml", settings=settings, runs={"lstm": LSTM}, tests=tests)
    reproduce(str(other), out=out)
    assert {f: f.stat().st_mtime_ns for f in folder.glob("**/*")} == trained
    (shared,) = read_lines(out / "other_small.jsonl")
    assert shared["curve"] == line["curve"] and shared["run"] == line["run"]
    assert [(t["task"], t["n"], t["length"]) for t in shared["tests"]] == [("duplicate_ngram", 2, 6)]

    changed = a_figure(
        tmp_path / "other.yaml", settings={**settings, "lr": 0.5}, runs={"lstm": LSTM}, tests=tests
    )
    with pytest.raises(
        InputError, match=r"has \(lstm, seed 3\) with other settings \(lr\); pass another --out"
    ):
        reproduce(str(changed), out=out, resume=True)
    retested = a_figure(
        tmp_path / "other.yaml", settings=settings, runs={"lstm": LSTM}, tests=[{**tests[0], "n": 3}]
    )
    with pytest.raises(InputError, match=r"with other tests"):
        reproduce(str(retested), out=out, resume=True)


def test_each_gpu_is_a_place_or_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [place["CUDA_VISIBLE_DEVICES"] for place in worker_slots(True)] == ["0", "1"]
    assert [place["CUDA_VISIBLE_DEVICES"] for place in worker_slots(True, 2)] == ["0", "1", "0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,3")
    assert [place["CUDA_VISIBLE_DEVICES"] for place in worker_slots(True)] == ["5", "3"]
    assert all("CUDA_VISIBLE_DEVICES" not in place for place in worker_slots(False, 2))


def test_jobs_are_spread_over_the_places_and_none_outlives_the_call(tmp_path: Path) -> None:
    code = "import os, sys, time; print(os.environ['PLACE']); time.sleep(.2); sys.exit(int(sys.argv[1]))"
    jobs = [Job(str(i), [sys.executable, "-c", code, str(i % 2)], tmp_path / f"{i}.log") for i in range(4)]
    told: list[tuple[str, str, int]] = []

    class Noting(Watcher):
        def started(self, job: Job, place: int) -> None:
            told.append(("started", job.name, place))

        def ended(self, job: Job, status: int) -> None:
            told.append(("ended", job.name, status))

        def stopping(self) -> None:
            told.append(("stopping", "", 0))

    run_jobs(jobs, [{"PLACE": "a"}, {"PLACE": "b"}], Noting())
    assert sorted(one for one in told if one[0] == "ended") == [("ended", str(i), i % 2) for i in range(4)]
    places_of = {name: place for what, name, place in told if what == "started"}
    assert told[:2] == [("started", "0", 0), ("started", "1", 1)]
    assert [last_line(job.log) for job in jobs] == ["ab"[places_of[job.name]] for job in jobs]
    assert ("stopping", "", 0) not in told

    class Failing(Noting):
        def ended(self, job: Job, status: int) -> None:
            raise KeyboardInterrupt

    sleeper = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    log = tmp_path / "sleeper.log"
    quick = [
        sys.executable,
        "-c",
        "import pathlib, sys\nwhile not pathlib.Path(sys.argv[1]).stat().st_size: 0",
        str(log),
    ]
    both = [Job("sleeper", [sys.executable, "-c", sleeper], log), Job("quick", quick, tmp_path / "quick.log")]
    with pytest.raises(KeyboardInterrupt):
        run_jobs(both, [{}, {}], Failing())
    assert told[-1] == ("stopping", "", 0)
    with pytest.raises(ProcessLookupError):
        os.kill(int(last_line(log)), 0)


def test_processes_that_do_not_end_are_killed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PATIENCE", 0.5)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    code += "print(1, flush=True); time.sleep(60)"
    jobs = [Job(str(i), [sys.executable, "-S", "-c", code], tmp_path / f"{i}.log") for i in range(3)]

    class Ending(Watcher):
        def waiting(self) -> None:
            if all(job.log.exists() and job.log.read_text() for job in jobs):
                raise KeyboardInterrupt

        def stopping(self) -> None:
            self.since = time.monotonic()

    watcher = Ending()
    with pytest.raises(KeyboardInterrupt):
        run_jobs(jobs, [{}, {}, {}], watcher)
    assert 0.5 <= time.monotonic() - watcher.since < 1.4


def test_the_last_line_of_a_log_is_not_a_bar_that_was_drawn_over(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("first\n 10%|#\r 20%|##\rthe end\n\n")
    assert last_line(log) == "the end"
    log.write_text("")
    assert last_line(log) == "it printed nothing"


def test_a_job_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    spec: dict[str, Any] = {
        "folder": str(tmp_path / "run"),
        "config": {},
        "tests": [],
        "result": "",
        "revision": None,
    }
    command = ["-m", "synthetic_training.figures.job", json.dumps(spec)]
    with FileLock(tmp_path / ".run.lock"):
        process = Forked(command, tmp_path, os.environ)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(1)
            process.communicate(timeout=20)
            assert process.returncode == 1 and not (tmp_path / "run").exists()
        finally:
            process.kill()
