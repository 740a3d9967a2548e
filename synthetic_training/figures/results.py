"""The results of a figure at one scale: one line of JSON per run, in a file that is written atomically."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.files import write_text
from dataset_builders.plotting import check_plots
from synthetic_training.config import CHANGEABLE, TrainConfig
from synthetic_training.figures.figure_file import Test
from synthetic_training.figures.plan import Key, Result, Run, key_of
from synthetic_training.training.run_log import read_lines

_NEEDED = ("figure", "scale", "label", "panel", "seed", "sweep", "run", "config", "curve", "tests", "seconds")


def read_results(file: Path) -> list[Result]:
    """The results in a file; none if there is no file yet.

    Raises:
        InputError: the file is damaged, or contains something else.
    """
    results = read_lines(file) if file.exists() else []
    for result in results:
        if any(key not in result for key in _NEEDED):
            raise InputError(f"{file} has a line that is not the result of a figure's run")
    return results


def write_results(file: Path, results: Iterable[Result]) -> None:
    """Write all results of a file atomically."""
    write_text(file, "".join(json.dumps(one) + "\n" for one in results))


def check_others(folder: Path, stem: str) -> None:
    """Check that a folder without a figure's results has no files with the names of its plot or table.

    Raises:
        InputError: the folder has such a file, which ``reproduce`` therefore did not write.
    """
    check_plots(folder, [stem])
    table = folder / f"{stem}.md"
    if table.exists():
        raise InputError(f"{table} was not written by reproduce and is not overwritten; pass another --out")


def done(results: Iterable[Result], runs: Sequence[Run], tests: Sequence[Test], file: Path) -> set[Key]:
    """The keys of the runs that already have results.

    Raises:
        InputError: the settings or tests of a result differ from those in the figure's file.
    """
    found = {key_of(result): result for result in results}
    for run in runs:
        result = found.get(run.key)
        if result is None:
            continue
        what = _changed(result, run, tests)
        if what:
            raise InputError(f"{file} has ({run}) with {what}; pass another --out, or move the file away")
    return {run.key for run in runs if run.key in found}


def _changed(result: Result, run: Run, tests: Sequence[Test]) -> str | None:
    if result["run"] != run.name:
        default, mine = TrainConfig().as_json(), run.config.as_json()
        before = {**default, **result["config"]}
        # the result has the device and precision that auto resolved to
        names = [k for k, v in mine.items() if k not in CHANGEABLE and v not in (before[k], "auto")]
        return f"other settings ({', '.join(names) or 'of a run with another name'})"
    tests_now = [
        (t.task or run.config.task, t.n or run.config.n, length, t.num_examples)
        for t in tests
        for length in t.lengths
    ]
    if tests_now != [(t["task"], t["n"], t["length"], t["asked"]) for t in result["tests"]]:
        return "other tests"
    return None
