"""Learning rates by step."""

import pytest
import torch

from synthetic_training.config import TrainConfig
from synthetic_training.training.schedule import LearningRateSchedule


def test_learning_rate_rises_then_falls_to_zero() -> None:
    falling = LearningRateSchedule(1.0, "linear", warmup_steps=4, steps=10)
    rates = [falling(step) for step in range(10)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6])
    late = LearningRateSchedule(1.0, "linear_from_zero", warmup_steps=4, steps=10)
    assert [late(step) for step in range(10)] == pytest.approx([0, 0.25, 0.5, 0.75, *rates[4:]])
    constant = LearningRateSchedule(1.0, "constant", warmup_steps=4, steps=10)
    assert [constant(step) for step in range(10)] == [0.25, 0.5, 0.75, *[1] * 7]


def test_a_cosine_is_that_of_torch() -> None:
    cosine = LearningRateSchedule(0.3, "cosine", warmup_steps=4, steps=10)
    assert [cosine(step) for step in range(4)] == pytest.approx([0.075, 0.15, 0.225, 0.3])
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=6)
    for step in range(4, 10):
        assert cosine(step) == pytest.approx(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()


def test_a_short_run_warms_up_for_a_tenth_of_its_steps() -> None:
    assert [TrainConfig(steps=steps).warmup for steps in (1, 20, 500, 1000, 10_000)] == [0, 2, 50, 100, 100]
    assert TrainConfig(steps=200, warmup_steps=150).warmup == 150
