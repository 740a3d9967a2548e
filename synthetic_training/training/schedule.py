"""The learning rate of each step."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

Decay: TypeAlias = Literal["linear", "cosine", "constant", "linear_from_zero"]


@dataclass(frozen=True)
class LearningRateSchedule:
    """Linear warm-up to a peak, then decay or a constant rate.

    ``linear_from_zero`` is the schedule of the trainer released with the paper (``get_scheduler`` of
    transformers): the learning rate of the first step is 0, so that this step changes no weight, and warm-up
    is one step late. Otherwise, it is the same as ``linear``.

    Attributes:
        peak: learning rate after ``warmup_steps`` steps.
        decay: ``linear``, ``cosine`` (half a period) and ``linear_from_zero`` would reach 0 after the last
            step; ``constant`` stays at the peak.
        warmup_steps: number of warm-up steps, fewer than ``steps``.
        steps: number of steps of the whole run.
    """

    peak: float
    decay: Decay
    warmup_steps: int
    steps: int

    def __call__(self, step: int) -> float:
        """The learning rate of a step, which is at least 0 and below ``steps``."""
        if step < self.warmup_steps:
            late = self.decay == "linear_from_zero"
            return self.peak * (step + (not late)) / self.warmup_steps
        if self.decay == "constant":
            return self.peak
        left = (self.steps - step) / max(1, self.steps - self.warmup_steps)
        return self.peak * ((1 - math.cos(math.pi * left)) / 2 if self.decay == "cosine" else left)
