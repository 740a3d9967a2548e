"""The results of a figure at one scale: a JSON line of each run, in a file that is always whole."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.files import write_text
from synthetic_training.config import FREE, TrainConfig, as_json
from synthetic_training.figures.figure_file import Test
from synthetic_training.figures.plan import Key, Run, key_of
from synthetic_training.training.run_log import Line, read_metrics

_NEEDED = ("figure", "scale", "label", "panel", "seed", "sweep", "run", "config", "curve", "tests", "seconds")


def read_results(file: Path) -> list[Line]:
    """All lines; none where there is no file yet.

    Raises:
        InputError: the file is damaged, or holds something else.
    """
    lines = read_metrics(file) if file.exists() else []
    for line in lines:
        if not isinstance(line, dict) or any(key not in line for key in _NEEDED):
            raise InputError(f"{file} holds a line that is no result of a figure's run")
    return lines


def append_result(file: Path, line: Line) -> None:
    """Add a line; the file is there as before or with it, never in part."""
    write_text(file, "".join(json.dumps(one) + "\n" for one in [*read_results(file), line]))


def done(lines: Iterable[Line], runs: Sequence[Run], tests: Sequence[Test], file: Path) -> set[Key]:
    """The runs whose results are there.

    Raises:
        InputError: results are of other settings or tests than the figure's file has now.
    """
    found = {key_of(line): line for line in lines}
    for run in runs:
        line = found.get(run.key)
        if line is None:
            continue
        what = _changed(line, run, tests)
        if what:
            raise InputError(f"{file} has ({run}) with {what}; name another --out, or move that file away")
    return {run.key for run in runs if run.key in found}


def _changed(line: Line, run: Run, tests: Sequence[Test]) -> str | None:
    if line["run"] != run.name:
        default, mine = as_json(TrainConfig()), as_json(run.config)
        before = {**default, **line["config"]}
        # the result has the device and precision that auto stood for
        names = [k for k, v in mine.items() if k not in FREE and v not in (before[k], "auto")]
        return f"other settings ({', '.join(names) or 'of a run of another name'})"
    asked = [(t.task, t.n or run.config.n, length, t.num_examples) for t in tests for length in t.lengths]
    if asked != [(t["task"], t["n"], t["length"], t["asked"]) for t in line["tests"]]:
        return "other tests"
    return None
