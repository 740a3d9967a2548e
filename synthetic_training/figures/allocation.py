"""Which run starts next, and on which GPUs.

Several runs may share a GPU: while one compiles, another trains. The GPU then does as much work as before, so
all of its runs have ended after the sum of their times at the latest. Runs for which this sum fits into the
remaining time go first; a run that does not fit is cut off, and continued in the next call. With
``whole_runs``, no run starts that would be cut off, and a run that is too long for one GPU is split over
several GPUs, which it does not share. A model of unknown speed is assumed to be as fast as the slowest
measured model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from synthetic_training.figures.estimate import SPEEDUP, Expected
from synthetic_training.figures.ledger import Work

START = 30.0
"""Seconds of a run that do not use the GPU: imports, building the model, and saving it."""
PER_TEST = 4.0
"""Seconds for loading the model for one test."""
SHARING = 1.15
"""Factor by which the runs that share a GPU are slower in total."""


@dataclass
class Running:
    """A run in progress.

    Attributes:
        work: the run.
        gpus: indices of its GPUs.
        left: remaining seconds on each of its GPUs if it did not share them.
        warm_up: remaining seconds before it uses its GPUs.
    """

    work: Work
    gpus: tuple[int, ...]
    left: float
    warm_up: float


@dataclass
class Allocation:
    """The GPUs and the runs on them.

    Attributes:
        count: number of GPUs.
        per_gpu: maximum number of runs that share a GPU.
        budget: seconds available to a run on idle GPUs; infinite without a limit.
        whole_runs: whether to start only runs that can end in time.
        running: the runs in progress, by name.
    """

    count: int
    per_gpu: int
    budget: float
    whole_runs: bool = False
    running: dict[str, Running] = field(default_factory=dict)

    def gpus_for(self, work: Work, expected: Expected) -> int | None:
        """The number of GPUs for a run; None if it must end in time and cannot on any number of GPUs."""
        if expected.basis == "assumed" or not self.whole_runs:
            return 1
        for gpus, speedup in SPEEDUP.items():
            seconds = warm_up(work) + expected.seconds / speedup
            if gpus <= self.count and self.rows_fit(work, gpus) and seconds <= self.budget:
                return gpus
        return None

    @staticmethod
    def rows_fit(work: Work, gpus: int) -> bool:
        """Whether each GPU gets the same number of rows."""
        config = work.run.config
        return config.batch_size % (gpus * config.accumulation_steps) == 0

    def next(
        self, waiting: Sequence[tuple[Work, Expected]], time_left: float
    ) -> tuple[Work, Expected, tuple[int, ...]] | None:
        """The next run to start, and its GPUs; None if nothing can start now.

        Runs that fit into the remaining time come first. They are ordered by stage; within a stage, those
        that need most GPUs come first, then the longest.
        """
        if not self._room():
            return None
        sized = [(work, expected, self.gpus_for(work, expected)) for work, expected in waiting]
        order = sorted(
            ((work, expected, gpus) for work, expected, gpus in sized if gpus is not None),
            key=lambda one: (one[0].priority, -one[2], -one[1].seconds),
        )
        for work, expected, gpus in order:
            found = self._place(work, expected, gpus, time_left)
            if found is not None:
                return work, expected, found
        for work, expected, _ in order if not self.whole_runs else ():
            if time_left > warm_up(work):
                return work, expected, (self._room()[0],)
        return None

    def start(self, work: Work, expected: Expected, gpus: tuple[int, ...]) -> None:
        """Record that a run has started."""
        seconds = expected.seconds / SPEEDUP[len(gpus)]
        self.running[work.name] = Running(work, gpus, seconds, warm_up(work))

    def end(self, name: str) -> None:
        """Record that a run has ended."""
        del self.running[name]

    def sharing(self, gpu: int) -> list[Running]:
        """The runs on a GPU."""
        return [one for one in self.running.values() if gpu in one.gpus]

    def _room(self) -> list[int]:
        """The GPUs on which another run may start, ordered by number of runs, then by remaining work."""
        free = []
        for gpu in range(self.count):
            runs = self.sharing(gpu)
            if len(runs) < self.per_gpu and all(len(one.gpus) == 1 for one in runs):
                free.append((len(runs), sum(one.left for one in runs), gpu))
        return [gpu for _, _, gpu in sorted(free)]

    def _place(self, work: Work, expected: Expected, gpus: int, time_left: float) -> tuple[int, ...] | None:
        room = self._room()
        if gpus > 1:
            idle = tuple(sorted(gpu for gpu in room if not self.sharing(gpu)))[:gpus]
            seconds = warm_up(work) + expected.seconds / SPEEDUP[gpus]
            return idle if len(idle) == gpus and seconds <= time_left else None
        for gpu in room:
            others = self.sharing(gpu)
            total = expected.seconds + sum(one.left for one in others)
            seconds = warm_up(work) + total * (SHARING if others else 1.0)
            # a run of unknown speed starts even if its estimate never fits, so that its speed is measured
            if seconds <= time_left or (expected.basis == "assumed" and seconds > self.budget):
                return (gpu,)
        return None


def warm_up(work: Work) -> float:
    """Seconds of a run that hardly use the GPU."""
    return START + PER_TEST * sum(len(stage.tests) for stage in work.stages)
