"""Distributes a probe's rows over the processes of a training run, and adds up their results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


def process_count() -> int:
    """The number of processes that torchrun or a similar launcher has started; 1 without one."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_first_process() -> bool:
    """Whether this process is the only or the first one of a run."""
    return not distributed.is_initialized() or distributed.get_rank() == 0


@dataclass(frozen=True)
class Replica:
    """A model without its wrappers, and the processes that have the same model.

    With DistributedDataParallel, every process has the whole model, so each of them scores a share of the
    rows. In all other cases, e.g. with sharded parameters, all processes score all rows in lockstep, which is
    correct even if a forward pass needs the other processes.

    Attributes:
        model: the model without the wrappers of DistributedDataParallel and ``torch.compile``.
        rank: index of this process among the processes that share rows; 0 if rows are not shared.
        count: number of processes that share rows; 1 if rows are not shared.
        group: the group of these processes; None for all processes.
    """

    model: nn.Module
    rank: int = 0
    count: int = 1
    group: Any = None

    @classmethod
    def of(cls, model: nn.Module) -> "Replica":
        """The replica of a model that may be wrapped and compiled."""
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
                # the module inside a compiled one; as an attribute, FSDP1 and PEFT show it of what they wrap
                inner = model._modules.get("_orig_mod")
            if inner is None:
                return cls(model, found.rank, found.count, found.group)
            model = inner

    @property
    def shares(self) -> bool:
        return self.count > 1

    @property
    def in_step(self) -> bool:
        """Whether other processes may take part in each forward pass."""
        return not self.shares and process_count() > 1

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def share(self, rows: Sequence[Any]) -> list[Any]:
        """This process's rows: every ``count``-th, so that each process gets long and short rows."""
        return list(rows[self.rank :: self.count])

    def total(self, values: Tensor) -> Tensor:
        """The sum of the values of all processes, which must all call this the same number of times."""
        if self.shares:
            distributed.all_reduce(values, group=self.group)
        return values
