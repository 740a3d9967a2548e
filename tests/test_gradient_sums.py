"""Gradients that are summed over processes, and what processes agree on."""

import os
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import distributed as dist
from torch import nn

from dataset_builders import InputError
from synthetic_training.training.distributed import GradientReducer
from synthetic_training.training.processes import Processes, connect
from tests.forked import context
from tests.test_train_distributed import free_port


class Branches(nn.Module):
    """A layer that is unused, one that only process 1 uses, and one with a weight in bfloat16."""

    def __init__(self) -> None:
        super().__init__()
        self.rare, self.first = nn.Linear(7, 7), nn.Linear(5, 7)
        self.unused, self.last = nn.Linear(3, 3), nn.Linear(7, 5)
        self.last.weight.data = self.last.weight.data.bfloat16().float()

    def forward(self, x: torch.Tensor, last: torch.Tensor, rank: int) -> torch.Tensor:
        hidden = self.first(x).relu()
        hidden = self.rare(hidden) if rank == 1 else hidden
        return nn.functional.linear(hidden, last.float(), self.last.bias).square().sum()


def model_and_leaves() -> tuple[Branches, torch.Tensor, list[torch.Tensor]]:
    torch.manual_seed(0)
    model = Branches()
    copy = model.last.weight.detach().bfloat16().requires_grad_()
    return model, copy, [p for name, p in model.named_parameters() if name != "last.weight"] + [copy]


def inputs() -> torch.Tensor:
    return torch.randn(8, 5, generator=torch.Generator().manual_seed(1))


BUCKET_BYTES = (1, 100, 10**6)


def reduce_halves(rank: int, port: int, folder: str) -> None:
    """In one of two processes: the summed gradients of half of the inputs, twice in a row."""
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    processes = connect()
    for bucket_bytes in BUCKET_BYTES:
        model, copy, leaves = model_and_leaves()
        reducer = GradientReducer(leaves, bucket_bytes)
        for _ in range(2):
            half = inputs()[4 * rank : 4 * rank + 4]
            model(
                half[:2], copy, rank
            ).backward()  # summed with what follows, as with several passes per step
            reducer.expect()
            sent = mock.Mock(wraps=dist.all_reduce)
            with mock.patch.object(dist, "all_reduce", sent):
                model(half[2:], copy, rank).backward()
            if bucket_bytes == 1:  # one bucket each, sent until the layer that takes no part
                assert sent.call_count == 2
            gradients = reducer.finish()
            assert all(leaf.grad is None for leaf in leaves)
        kept = [None if gradient is None else gradient.clone() for gradient in gradients]
        torch.save(kept, f"{folder}/{rank}_{bucket_bytes}.pt")
    assert processes.max(rank) == 1
    with pytest.raises(InputError, match="^of process 1$"), processes.agree():
        if rank == 1:
            raise InputError("of process 1")


def test_gradients_are_summed_over_processes_passes_and_buckets(tmp_path: Path) -> None:
    port = free_port()
    pair = [context().Process(target=reduce_halves, args=(rank, port, str(tmp_path))) for rank in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(120)
        assert process.exitcode == 0
    model, copy, leaves = model_and_leaves()
    for rank, half in enumerate(inputs().chunk(2)):
        model(half, copy, rank).backward()
    assert model.unused.weight.grad is None and model.rare.weight.grad is not None
    for bucket_bytes in BUCKET_BYTES:
        one, other = (torch.load(tmp_path / f"{rank}_{bucket_bytes}.pt") for rank in range(2))
        for leaf, found, same in zip(leaves, one, other, strict=True):
            if leaf.grad is None:
                assert found is None and same is None
                continue
            assert torch.equal(found, same) and found.dtype == leaf.dtype
            # bfloat16 has 8 bits, and each of the four passes and their sum round to them once
            rtol, atol = (2**-7, 2**-6) if leaf is copy else (1e-5, 1e-5)
            torch.testing.assert_close(found.float(), leaf.grad.float(), rtol=rtol, atol=atol)


def test_one_process_is_alone() -> None:
    alone = Processes()
    value = torch.ones(2)
    alone.sum(value)
    assert value.tolist() == [1, 1] and alone.max(3) == 3 and alone.is_main
    with pytest.raises(ValueError, match="^mine$"), alone.agree():
        raise InputError("mine")
