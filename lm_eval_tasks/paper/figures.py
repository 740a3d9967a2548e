"""The paper's figures on pretrained models: accuracy by length for each experiment, one line per model."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from dataset_builders.errors import InputError
from dataset_builders.plotting import check_plots
from lm_eval_tasks.paper.batches import as_in_the_paper, deviations
from lm_eval_tasks.paper.experiments import Experiment
from lm_eval_tasks.paper.model_list import Model
from lm_eval_tasks.paper.plan import Files, Run
from lm_eval_tasks.results.plots import RowStyle, draw, draw_by_state
from lm_eval_tasks.results.reader import read_results
from lm_eval_tasks.results.rows import by_benchmark
from lm_eval_tasks.results.score import Score
from lm_eval_tasks.results.time_plots import draw_by_time

_COLOURS = {
    "transformer": ("#56b4e9", "#0072b2", "#003f66"),
    "recurrent": ("#e69f00", "#d55e00", "#7a2e00"),
    "hybrid": ("#5fd0a5", "#009e73", "#00543d"),
}
"""Colours of the models of each kind, from small to large."""
_MARKERS = "osD^vPX*"

_KINDS = ("_batches", "_by_state", "_by_time")
"""Suffixes of the names of an experiment's additional figures."""


def read_scores(runs: Sequence[Run], files: Files) -> list[Score]:
    """The scores of the complete runs, labelled with the models' names, by experiment, model and length.

    Raises:
        InputError: a result file is damaged, or the runs of a model have different weights.
    """
    found: list[Score] = []
    order: dict[tuple[str, str], int] = {}
    for run in runs:
        order[run.experiment.name, run.model.name] = len(order)
        if files.is_complete(run):
            found += [replace(s, label=run.model.name) for s in read_results([files.results(run)])]
    _check_weights(found, files)
    return sorted(found, key=lambda s: (s.benchmark, order[s.benchmark, s.label], s.length))


def _check_weights(scores: Sequence[Score], files: Files) -> None:
    """Raise InputError if two runs of a model have different weights, for example after more training."""
    found: dict[str, dict[str, str]] = {}
    for score in scores:
        if (weights := score.metadata.get("weights")) is not None:
            folder = score.file.relative_to(files.runs).parts[0]
            found.setdefault(score.label, {}).setdefault(str(weights), folder)
    for name, folders in found.items():
        if len(folders) > 1:
            raise InputError(
                f"the runs of {name} have different weights, for example {' and '.join(folders.values())} in "
                f"{files.runs}; delete the folders of the outdated model, and run the same command again"
            )


def family_styles(models: Sequence[Model]) -> dict[str, RowStyle]:
    """One style per model: colours of its kind, darker and with another marker for each larger model."""
    found = {}
    distinct = {model.name: model for model in models}.values()
    for kind, colours in _COLOURS.items():
        own = sorted((one for one in distinct if one.kind == kind), key=lambda model: model.parameters)
        for number, model in enumerate(own):
            place = number * len(colours) // len(own) if len(own) > len(colours) else number
            found[model.name] = RowStyle(colours[place], _MARKERS[number % len(_MARKERS)])
    return found


def check_figures(experiments: Iterable[Experiment], out: Path) -> None:
    """Check that :func:`draw_figures` would replace only figures of this project.

    Raises:
        InputError: it would replace another file.
    """
    check_plots(out, (f"{one.name}{kind}" for one in experiments for kind in ("", *_KINDS)))


def draw_figures(
    models: Sequence[Model], scores: Sequence[Score], out: Path, *, batches: bool
) -> dict[str, list[Path]]:
    """Draw each experiment as ``EXPERIMENT.png`` and ``.svg``, also by bytes of state and seconds if known.

    Args:
        batches: whether to also draw ``EXPERIMENT_batches``, with the paper's means and standard deviations.

    Returns:
        The PNG files by experiment.

    Raises:
        InputError: a file cannot be written, or samples are damaged.
    """
    style_of = family_styles(models)
    found = {}
    for name, own in by_benchmark(scores).items():
        files = draw(name, own, style_of, out)
        if batches:
            files += draw(
                name, as_in_the_paper(own), style_of, out, name=f"{name}_batches", bars=deviations(name)
            )
        files += draw_by_state(name, own, style_of, out)
        files += draw_by_time(name, own, style_of, out)
        found[name] = [file for file in files if file.suffix == ".png"]
    return found
