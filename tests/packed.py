"""Packed batches, compared."""

from dataclasses import fields

import torch
from torch import Tensor

from synthetic_training.data.strings import Packed


def same(one: Packed, other: Packed) -> bool:
    """Whether two batches are equal, on whatever devices; what one of them lacks, the other must lack too."""
    return all(_equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(Packed))


def _equal(one: Tensor | None, other: Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return torch.equal(one.cpu(), other.cpu())
