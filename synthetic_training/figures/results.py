"""The results of a figure at one scale: one line of JSON per run, in a file that is written atomically."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataset_builders import InputError
from dataset_builders.checks import first_problem
from dataset_builders.files import write_text
from dataset_builders.plotting import check_plots
from synthetic_training.config import CHANGEABLE, TrainConfig
from synthetic_training.figures.figure_file import Test
from synthetic_training.figures.plan import Key, Result, Run, key_of, scores_of
from synthetic_training.training.run_log import Record, read_lines


class _Point(BaseModel):
    """The fields of a point of a learning curve that are checked."""

    model_config = ConfigDict(strict=True)

    step: int
    examples: int
    length: int
    string_accuracy: float
    letter_accuracy: float


class _Score(BaseModel):
    """The fields of a score in a test that are checked."""

    model_config = ConfigDict(strict=True)

    task: str
    n: int
    k: int | None = None
    length: int
    num_examples: int
    string_accuracy: float
    string_accuracy_stderr: float


class _Line(BaseModel):
    """The fields of a result that are checked."""

    model_config = ConfigDict(strict=True)

    figure: str
    scale: str
    label: str
    panel: str | None
    seed: int
    sweep: dict[str, Any]
    run: str
    config: dict[str, Any]
    seconds: float
    curve: Annotated[list[_Point], Field(min_length=1)]
    tests: list[_Score]


def read_results(file: Path) -> list[Result]:
    """The results in a file; none if there is no file yet.

    Raises:
        InputError: the file is damaged, or contains something else.
    """
    return checked_results(read_lines(file), str(file)) if file.exists() else []


def results_of(files: Sequence[Path]) -> list[Result]:
    """The results in the files that a user names.

    Raises:
        InputError: no file is named, or one does not exist, is empty or damaged, or contains something else.
    """
    if not files:
        raise InputError("no file is named; pass files written by reproduce")
    if missing := [str(file) for file in files if not file.is_file()]:
        raise InputError(f"{', '.join(missing)}: no such file; pass files written by reproduce")
    found = [read_results(file) for file in files]
    for file, results in zip(files, found, strict=True):
        if not results:
            raise InputError(f"{file} contains no results; pass files written by reproduce")
    return [result for results in found for result in results]


def checked_results(lines: list[Record], name: str) -> list[Result]:
    """The same lines, after checking that they are results of a figure's runs.

    Args:
        lines: the lines.
        name: name of the file in messages.

    Raises:
        InputError: a line is something else.
    """
    for line in lines:
        try:
            _Line.model_validate(line)
        except ValidationError as error:
            raise InputError(
                f"{name} has a line that is not the result of a figure's run: {first_problem(error)}"
            ) from None
    return lines


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
        return (
            f"other settings ({', '.join(names)})" if names else f"the name {result['run']}, not {run.name}"
        )
    tests_now = [score for test in tests for score in scores_of(test, run.config)]
    fields = ("task", "n", "k", "length", "num_examples")
    if tests_now != [tuple(score.get(field) for field in fields) for score in result["tests"]]:
        return "other tests"
    return None
