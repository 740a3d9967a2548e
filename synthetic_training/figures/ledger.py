"""Keeps track of the work of ``reproduce``: the results of stages, and their runs without a result.

Stages may share runs: a run is trained once and then evaluated for every stage that needs it, because its
model may be gone when the next figure is due.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from synthetic_training.figures.plan import Key, Result, Run, key_of
from synthetic_training.figures.results import done, read_results, write_results
from synthetic_training.figures.stages import Stage


@dataclass(frozen=True)
class Work:
    """A run that has to be done.

    Attributes:
        parts: the stages that lack the run's result, each with its own entry for the run; the first stage
            sets the priority.
        priority: position of the first stage in the order of stages; lower is earlier.
    """

    parts: tuple[tuple[Stage, Run], ...]
    priority: int

    @property
    def run(self) -> Run:
        return self.parts[0][1]

    @property
    def stages(self) -> list[Stage]:
        return [stage for stage, _ in self.parts]

    @property
    def name(self) -> str:
        return self.run.name


def add_part(works: dict[str, Work], stage: Stage, run: Run, priority: int) -> None:
    """Note that a stage lacks the result of a run, which other stages may lack too."""
    known = works.get(run.name)
    if known is None:
        works[run.name] = Work(((stage, run),), priority)
    else:
        works[run.name] = replace(known, parts=(*known.parts, (stage, run)))


class Ledger:
    """The results of all stages, and the remaining runs.

    Args:
        stages: from ``read_stages``.
        out: folder of the results.

    Raises:
        InputError: a file of results is damaged, or has results with other settings.
    """

    def __init__(self, stages: Sequence[Stage], out: Path) -> None:
        self.stages, self._out = list(stages), out
        self._unsaved: set[str] = set()
        self._results = {stage.stem: read_results(self.file(stage)) for stage in stages}
        for stage in stages:
            self._finished(stage, self._ready(stage))  # raises InputError for results with other settings

    def file(self, stage: Stage) -> Path:
        return self._out / f"{stage.stem}.jsonl"

    def results(self, stage: Stage) -> list[Result]:
        return self._results[stage.stem]

    def take(self, folder: Path) -> None:
        """Add missing results from a folder with results of earlier calls; ``save`` writes them.

        Raises:
            InputError: a file of results is damaged, or has results with other settings.
        """
        for stage in self.stages:
            mine = {key_of(result) for result in self.results(stage)}
            others = [one for one in read_results(folder / f"{stage.stem}.jsonl") if key_of(one) not in mine]
            if others:
                self._results[stage.stem] += others
                self._unsaved.add(stage.stem)
        for stage in self.stages:
            self._finished(stage, self._ready(stage))

    def add(self, stage: Stage, result: Result) -> None:
        """Save a result; it replaces a result with the same key and another learning rate."""
        self._write(stage, result)

    def save(self) -> None:
        """Write the results that ``take`` has added."""
        for stage in self.stages:
            if stage.stem in self._unsaved:
                self._write(stage)
        self._unsaved.clear()

    def _write(self, stage: Stage, *new: Result) -> None:
        """Write all results of a stage, including those that others have added to the file."""
        both = [*self.results(stage), *read_results(self.file(stage)), *new]
        self._results[stage.stem] = list({key_of(one): one for one in both}.values())
        write_results(self.file(stage), self.results(stage))

    def show(self, stage: Stage) -> list[Path]:
        """Write the plot and table of a stage's results; return all files, including the results."""
        results = self.results(stage)
        return [self.file(stage), *stage.show(results, self._out)] if results else []

    def work(self) -> list[Work]:
        """The runs that can start now, in the order of the stages."""
        found: dict[str, Work] = {}
        for priority, stage in enumerate(self.stages):
            ready = self._ready(stage)
            finished = self._finished(stage, ready)
            for run in ready:
                if run.key not in finished:
                    add_part(found, stage, run, priority)
        return list(found.values())

    def waiting(self) -> list[tuple[Stage, Run]]:
        """The runs whose learning rates are not chosen yet, each with the one in the figure's file."""
        found = []
        for stage in self.stages:
            ready = {run.key for run in self._ready(stage)}
            found += [(stage, run) for run in stage.planned if run.key not in ready]
        return found

    def has(self, stage: Stage, run: Run) -> bool:
        """Whether there is a result of this run, whatever learning rate will be chosen."""
        return any(result["run"] == run.name for result in self.results(stage))

    def finished(self, stage: Stage) -> set[Key]:
        """The keys of the runs that have results."""
        return self._finished(stage, self._ready(stage))

    def _ready(self, stage: Stage) -> list[Run]:
        trying = stage.trials
        return stage.ready({} if trying is None else trying.rates(self.results(trying)))

    def _finished(self, stage: Stage, ready: Iterable[Run]) -> set[Key]:
        results = self.results(stage)
        runs = list(ready)
        if stage.trials is not None:
            # at another learning rate, which has since been replaced
            names = {run.key: run.name for run in runs}
            rates = {run.key: run.config.lr for run in runs}
            results = [
                one
                for one in results
                if one["run"] == names.get(key_of(one)) or one["config"]["lr"] == rates.get(key_of(one))
            ]
        return done(results, runs, stage.tests, self.file(stage))
