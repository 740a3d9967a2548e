"""Comparison of batches, which may be on different devices."""

from dataclasses import fields

import torch

from synthetic_training.data.strings import Packed


def same(one: Packed, other: Packed) -> bool:
    """Whether two batches have equal rows; both may have no positions of targets."""
    for name in (field.name for field in fields(Packed)):
        first, second = getattr(one, name), getattr(other, name)
        if first is None or second is None:
            if first is not second:
                return False
        elif not torch.equal(first.cpu(), second.cpu()):
            return False
    return True
