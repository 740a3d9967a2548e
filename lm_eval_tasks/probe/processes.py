"""The processes of a distributed training run: which share the documents of a probe, and how they add up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Replica:
    """A model without its wrappers, and the processes that have the same one.

    Processes that are wrapped in DistributedDataParallel hold the whole model each, so each of them scores a
    share of the rows. In every other case, such as with sharded parameters, all processes score all
    rows in step, which is right whatever a forward pass needs of the other processes.

    Attributes:
        model: runs without the others, and without being compiled.
        rank, count: of the processes that share rows; 0 and 1 if they do not.
        group: of these processes; None for all.
    """

    model: nn.Module
    rank: int = 0
    count: int = 1
    group: Any = None

    @classmethod
    def of(cls, model: nn.Module) -> "Replica":
        """The replica in a model that may be wrapped and compiled."""
        found = cls(model)
        while True:
            inner: nn.Module | None
            if isinstance(model, DistributedDataParallel):
                group = model.process_group
                inner = model.module
                found = cls(inner, distributed.get_rank(group), distributed.get_world_size(group), group)
            elif isinstance(model, nn.DataParallel):
                inner = model.module
            else:
                inner = getattr(model, "_orig_mod", None)  # of a compiled module
            if inner is None:
                return cls(model, found.rank, found.count, found.group)
            model = inner

    @property
    def shares(self) -> bool:
        return self.count > 1

    @property
    def in_step(self) -> bool:
        """Whether other processes may take part in each forward pass."""
        return not self.shares and distributed.is_initialized() and distributed.get_world_size() > 1

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def share(self, rows: Sequence[Any]) -> list[Any]:
        """This process's rows: every ``count``-th, so that all have long and short ones."""
        return list(rows[self.rank :: self.count])

    def total(self, values: Tensor) -> Tensor:
        """The sum of all processes' values; each must call this equally often."""
        if self.shares:
            distributed.all_reduce(values, group=self.group)
        return values
