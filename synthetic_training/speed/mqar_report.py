"""The table and the plot of ``synthetic_training.speed.mqar``, of one file or several.

    python -m synthetic_training.speed.mqar_report mqar_1.json mqar_2.json --out mqar.json

merges several files into one, for example if several GPUs each tried one learning rate or one seed. A second
table shows the accuracy of every run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataset_builders import InputError
from dataset_builders.checks import first_problem
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, read_json, write_json
from dataset_builders.markdown import markdown_table
from dataset_builders.plotting import legend_beside, log_scale, plot_style, save_plot
from synthetic_training.speed.mqar_run import Run, best_point, best_run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GOALS = {"attention": 10, "mamba": 4}
"""Goal for the examples per second relative to Zoology's trainer."""

_TRAINERS = {"zoology": "Zoology", "ours": "ours"}


def table(measured: list[dict[str, Any]]) -> str:
    """The measurements as a Markdown table: for both trainers, the run with the best learning rate.

    Args:
        measured: for each model and size, ``model``, ``length``, ``pairs``, the results of the trainers as
            ``ours`` and ``zoology``, which may be empty, and ``ratio`` if both have results.
    """
    lines = []
    for one in measured:
        cells = {name: _cells(one[name]) for name in _TRAINERS}
        goal = GOALS.get(one["model"])
        lines.append(
            [
                one["model"],
                f"({one['length']}, {one['pairs']})",
                *(cells[name][i] for i in range(4) for name in _TRAINERS),
                f"{one['ratio']:.1f}x" if "ratio" in one else "",
                f"{goal}x" if goal else "",
            ]
        )
    columns = ("learning rate", "accuracy", "examples until then", "examples/s")
    headers = ["model", "(length, pairs)",
               *(f"{column}, {label}" for column in columns for label in _TRAINERS.values()),
               "ratio", "goal"]  # fmt: skip
    return markdown_table(headers, lines)


def _cells(runs: list[Run]) -> list[str]:
    """Learning rate, accuracy, examples and examples per second of the best run."""
    run = best_run(runs)
    if run is None:
        return ["failed" if runs else ""] * 4
    point = best_point(run)
    return [
        f"{run['lr']:.2g}",
        f"{point['accuracy']:.3f}",
        f"{point['examples']:,}",
        f"{run['examples_per_s']:,.0f}",
    ]


def seeds_table(measured: list[dict[str, Any]]) -> str:
    """The best accuracy of each run as a Markdown table, with the seeds of the same settings in one row.

    Args:
        measured: see ``table``; without runs that failed in their first epoch, and runs of older files, which
            have no seed.
    """
    found: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for one in measured:
        size = f"({one['length']}, {one['pairs']})"
        for name, label in _TRAINERS.items():
            for run in one[name]:
                if "seed" not in run:
                    continue
                settings = (one["model"], size, label, run["precision"], f"{run['lr']:.2g}")
                cut = f" (cut off after epoch {len(run['curve'])})" if run["end"] == "time" else ""
                accuracy = f"{best_point(run)['accuracy']:.3f}{cut}"
                found.setdefault(settings, []).append((str(run["seed"]), accuracy))
    headers = ["model", "(length, pairs)", "trainer", "precision", "learning rate", "seeds", "accuracy"]
    rows = [[*settings, *map(", ".join, zip(*runs, strict=True))] for settings, runs in found.items()]
    return markdown_table(headers, rows)


def with_ratio(one: dict[str, Any]) -> dict[str, Any]:
    """A model's results at one size, with the ``ratio`` of examples per second if both trainers have any."""
    best, baseline = best_run(one["ours"]), best_run(one["zoology"])
    if best is None or baseline is None:
        return one
    return {**one, "ratio": best["examples_per_s"] / baseline["examples_per_s"]}


def merged(files: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The measurements of several files, with all runs of a model and size together, each once."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in (one for measured in files for one in measured):
        runs = {name: one[name] for name in _TRAINERS}
        about = {key: value for key, value in one.items() if key not in (*runs, "ratio")}
        same = found.setdefault(tuple(about.values()), {**about, **{name: [] for name in runs}})
        for name, results in runs.items():
            same[name] = same[name] + [run for run in results if run not in same[name]]
    return [with_ratio(one) for one in found.values()]


def plot_files(out: Path) -> list[Path]:
    """The files of the plot that belong to a file of measurements."""
    return [out.with_suffix(f".{kind}") for kind in ("png", "svg")]


def save(measured: list[dict[str, Any]], out: Path) -> list[Path]:
    """Plot the accuracy of the best runs by training examples as PNG and SVG, next to the measurements."""
    with plot_style():
        return save_plot(_curves(measured), out.parent, out.stem)


def _curves(measured: list[dict[str, Any]]) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.6 * len(measured) + 0.2, 3.0), layout="constrained")
    row = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
    for axes, one in zip(row, measured, strict=True):
        for name, label in (("ours", "ours"), ("zoology", "Zoology's trainer")):
            curve = (best_run(one[name]) or {"curve": []})["curve"]
            axes.plot(
                [p["examples"] for p in curve], [p["accuracy"] for p in curve], marker="o", ms=3, label=label
            )
        log_scale(axes, "x")
        axes.set_title(f"{one['model']}, {one['length']} tokens, {one['pairs']} pairs")
        axes.set_xlabel("training examples")
        axes.set_ylim(-0.03, 1.03)
    row[0].set_ylabel("accuracy")
    handles, labels = row[0].get_legend_handles_labels()
    legend_beside(figure, handles, labels)
    return figure


def _merge(files: Annotated[tuple[Path, ...], tyro.conf.Positional], out: Path) -> None:
    """Merge the results of several files, plot the best learning rate of each trainer, and print tables.

    Args:
        files: Files written by synthetic_training.speed.mqar.
        out: JSON file for the results; it must not exist. A plot of the learning curves is written next to
            it.
    """
    if not files:
        raise InputError("there is nothing to merge; pass files written by synthetic_training.speed.mqar")
    for file in (out, *plot_files(out)):
        check_new_file(file)
    contents = [_read(file) for file in files]
    measured = merged([content["measured"] for content in contents])
    about = [{key: value for key, value in content.items() if key != "measured"} for content in contents]
    write_json(out, {"measured": measured, "files": about})
    save(measured, out)
    print(table(measured))
    print(f"\n{seeds_table(measured)}")


class _Point(BaseModel):
    """A point of a curve."""

    model_config = ConfigDict(strict=True)

    examples: Annotated[int, Field(ge=1)]
    accuracy: Annotated[float, Field(ge=0, le=1)]


class _Failed(BaseModel):
    """A run that failed before the end of its first epoch."""

    model_config = ConfigDict(strict=True, extra="forbid")

    lr: Annotated[float, Field(gt=0)]
    failed: str


class _Run(BaseModel):
    """The fields of a run that are checked."""

    model_config = ConfigDict(strict=True)

    lr: Annotated[float, Field(gt=0)]
    curve: Annotated[list[_Point], Field(min_length=1)]
    examples_per_s: Annotated[float, Field(gt=0)]


class _Measured(BaseModel):
    """Results for a model and size."""

    model_config = ConfigDict(strict=True, extra="forbid")

    model: str
    length: int
    pairs: int
    batch_size: int | None = None
    ours: list[_Failed | _Run]
    zoology: list[_Failed | _Run]
    ratio: float | None = None


class _File(BaseModel):
    """A file of measurements."""

    measured: Annotated[list[_Measured], Field(min_length=1)]


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_json(file)
    try:
        _File.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{file} was not written by synthetic_training.speed.mqar: {first_problem(error)}"
        ) from None
    return content


def main(arguments: Sequence[str] | None = None) -> None:
    """Merge the files on the command line. For invalid input, print one sentence and exit with status 1."""
    with command_errors():
        cli(_merge, prog="python -m synthetic_training.speed.mqar_report", args=arguments)


if __name__ == "__main__":
    main()
