"""The stages of figures; each has a file of results.

A figure that chooses its learning rates has two stages: the trials (``FIGURE_rates_SCALE.jsonl``), and the
runs at the chosen rates (``FIGURE_SCALE.jsonl``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from dataset_builders.files import write_text
from synthetic_training.figures.draw import draw
from synthetic_training.figures.figure_file import Figure, Scale, Test, figure_path, read_figure, shipped
from synthetic_training.figures.plan import Result, Run, plan
from synthetic_training.figures.rates import Rates, choice_table, chosen, trials, trials_figure
from synthetic_training.figures.tables import report


@dataclass(frozen=True, eq=False)
class Stage:
    """The runs whose results are in one file; stages are compared by identity.

    Attributes:
        name: name of the figure.
        scale_name: name of the scale.
        figure: the figure to draw.
        scale: the runs at this scale.
        source: the figure's file, for error messages.
        models: labels of the runs to do; empty for all.
        seeds: seeds to use instead of those in the file, if not empty.
        trials: the stage that determines the learning rates; None if they are fixed.
        of_trials: whether the runs of this stage try learning rates.
    """

    name: str
    scale_name: str
    figure: Figure
    scale: Scale
    source: str
    models: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    trials: "Stage | None" = None
    of_trials: bool = False

    @property
    def by_examples(self) -> bool:
        return self.figure.x == "examples"

    @property
    def stem(self) -> str:
        """File name of the results and of their plot and table, without extension."""
        return f"{self.name}_rates_{self.scale_name}" if self.of_trials else f"{self.name}_{self.scale_name}"

    @property
    def tests(self) -> tuple[Test, ...]:
        return () if self.of_trials else self.scale.tests

    @cached_property
    def planned(self) -> list[Run]:
        """All runs; until its learning rate is chosen, a run has the one in the figure's file."""
        if self.of_trials:
            return trials(self.scale, self.source, self.by_examples, self.models)
        return plan(self.scale, self.source, self.models, self.seeds)

    def ready(self, rates: Rates) -> list[Run]:
        """The runs that can start, at their learning rates.

        Args:
            rates: the learning rates that ``trials`` has determined so far.
        """
        if self.trials is None:
            return self.planned
        found = []
        for run in self.planned:
            rate = rates.get((run.label, run.panel), rates.get((run.label, None)))
            if rate is not None:
                found.append(replace(run, config=replace(run.config, lr=rate)))
        return found

    def rates(self, results: Sequence[Result]) -> Rates:
        """The learning rates that follow from results of this stage, whose runs are trials."""
        return chosen(results, self.scale, self.by_examples)

    def text(self, results: Sequence[Result]) -> str:
        """The table of results, as Markdown."""
        text = report(self._drawn, results)
        if self.of_trials:
            text += f"\n{choice_table(results, self.scale, self.by_examples)}\n"
        return text

    def show(self, results: Sequence[Result], out: Path) -> list[Path]:
        """Draw the plot and write the table from results; return the files."""
        rates = self.rates(results) if self.of_trials else None
        drawn = draw(self._drawn, results, out, self.stem, rates)
        table = out / f"{self.stem}.md"
        write_text(table, self.text(results))
        return [*drawn, table]

    @property
    def _drawn(self) -> Figure:
        return trials_figure(self.figure) if self.of_trials else self.figure


def read_stages(
    figures: Sequence[str],
    scale: str,
    *,
    models: Sequence[str] = (),
    seeds: Sequence[int] = (),
    overrides: Mapping[str, object] = {},
) -> list[Stage]:
    """The stages of figures, in their order; trials that several figures need come once, and first.

    Args:
        figures: names of shipped figures, or paths of the user's own files.
        scale: a scale of all of them.
        models: labels of the runs to do, each of at least one figure; empty for all.
        seeds: seeds to use instead of those in the files, if not empty.
        overrides: settings of all runs, which override those in the files.

    Raises:
        InputError: a figure, scale or label does not exist, or a run's settings are invalid.
    """
    stages: dict[str, Stage] = {}
    known: dict[str, None] = {}
    for name in figures:
        stage = _stage(name, scale, overrides)
        known |= dict.fromkeys(stage.scale.runs)
        wanted = tuple(label for label in models if label in stage.scale.runs)
        if models and not wanted:
            continue
        trying = _trials_of(stage, scale, overrides)
        if trying is not None:
            labels = dict.fromkeys((*stages.get(trying.stem, trying).models, *(wanted or stage.scale.runs)))
            missing = [label for label in labels if label not in trying.scale.runs]
            if missing:
                raise InputError(f"{stage.source}: {trying.name} has no learning rates for {missing[0]}")
            trying = replace(trying, models=tuple(labels))
            stages[trying.stem] = trying
        own = replace(stage, models=wanted, seeds=tuple(seeds))
        if own.stem in stages:
            raise InputError(f"{name} is listed twice")
        stages[own.stem] = own
    for label in models:
        if label not in known:
            what = stage.source if len(figures) == 1 else "these figures"
            raise InputError(
                f"{what} has no run {label!r}; its runs are {', '.join(known)}{did_you_mean(label, known)}"
            )
    return [replace(one, trials=stages.get(_trials_stem(one))) for one in stages.values()]


def stage_of(stem: str) -> Stage | None:
    """The stage of a shipped figure whose results have this file name; None if there is none."""
    for name, file in shipped().items():
        for scale in read_figure(file).scales if stem.startswith(f"{name}_") else ():
            if stem == f"{name}_rates_{scale}" or stem == f"{name}_{scale}":
                return next((one for one in read_stages([name], scale) if one.stem == stem), None)
    return None


def _stage(name: str, scale: str, overrides: Mapping[str, object]) -> Stage:
    file = figure_path(name)
    content = read_figure(file)
    if scale not in content.scales:
        known = [str(one) for one in content.scales]
        raise InputError(
            f"{file} has no scale {scale!r}; pass --scale {' or '.join(known)}{did_you_mean(scale, known)}"
        )
    size = content.scales[scale]
    size = replace(size, settings={**size.settings, **overrides}) if overrides else size
    return Stage(file.stem, scale, content, size, str(file))


def _trials_of(stage: Stage, scale: str, overrides: Mapping[str, object]) -> Stage | None:
    """The stage that tries the learning rates of another stage."""
    if stage.scale.learning_rates:
        return replace(stage, of_trials=True)
    if stage.scale.rates_of is None:
        return None
    other = _stage(stage.scale.rates_of, scale, overrides)
    if not other.scale.learning_rates:
        raise InputError(
            f"{stage.source}: rates_of = {stage.scale.rates_of!r}, which tries no learning rates"
        )
    return replace(other, of_trials=True)


def _trials_stem(stage: Stage) -> str:
    """The stem of the stage whose trials determine a stage's learning rates; empty if there is none."""
    owner = stage.name if stage.scale.learning_rates else stage.scale.rates_of
    return "" if owner is None or stage.of_trials else f"{owner}_rates_{stage.scale_name}"
