"""The learning rate of each step."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class LearningRateSchedule:
    """Linear warm-up to a peak, then linear decay or a constant rate.

    Attributes:
        peak: reached after ``warmup_steps`` steps.
        decay: ``linear`` would reach 0 after the last step; ``constant`` stays at the peak.
        warmup_steps: fewer than ``steps``.
        steps: of the whole run.
    """

    peak: float
    decay: Literal["linear", "constant"]
    warmup_steps: int
    steps: int

    def __call__(self, step: int) -> float:
        """The learning rate of step 0, 1, ..., ``steps`` - 1; it is above 0."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        if self.decay == "constant":
            return self.peak
        return self.peak * (self.steps - step) / max(1, self.steps - self.warmup_steps)
