"""Gradients that are summed over processes, and what processes agree on."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.utils.checkpoint import checkpoint

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


def model_and_leaves() -> tuple[Branches, torch.Tensor, dict[str, torch.Tensor]]:
    torch.manual_seed(0)
    model = Branches()
    copy = model.last.weight.detach().bfloat16().requires_grad_()
    others = {name: p for name, p in model.named_parameters() if name != "last.weight"}
    return model, copy, {**others, "last.weight": copy}


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
            assert all(leaf.grad is None for leaf in leaves.values())
        kept = [None if gradient is None else gradient.clone() for gradient in gradients]
        torch.save(kept, f"{folder}/{rank}_{bucket_bytes}.pt")
    assert processes.max(rank) == 1
    with pytest.raises(InputError, match="^of process 1$"), processes.agree():
        if rank == 1:
            raise InputError("of process 1")


def test_gradients_are_summed_over_processes_passes_and_buckets(tmp_path: Path) -> None:
    run_pair(reduce_halves, tmp_path)
    model, copy, leaves = model_and_leaves()
    for rank, half in enumerate(inputs().chunk(2)):
        model(half, copy, rank).backward()
    assert model.unused.weight.grad is None and model.rare.weight.grad is not None
    for bucket_bytes in BUCKET_BYTES:
        one, other = (torch.load(tmp_path / f"{rank}_{bucket_bytes}.pt") for rank in range(2))
        for leaf, found, same in zip(leaves.values(), one, other, strict=True):
            if leaf.grad is None:
                assert found is None and same is None
                continue
            assert torch.equal(found, same) and found.dtype == leaf.dtype
            # bfloat16 has 8 bits, and each of the four passes and their sum round to them once
            rtol, atol = (2**-7, 2**-6) if leaf is copy else (1e-5, 1e-5)
            torch.testing.assert_close(found.float(), leaf.grad.float(), rtol=rtol, atol=atol)


class Looped(nn.Module):
    """A layer that is applied three times, each time recomputed in the backward pass, between two others."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again, self.last = nn.Linear(5, 7), nn.Linear(7, 7), nn.Linear(7, 5)
        self.phase = nn.Parameter(torch.ones(7, dtype=torch.complex64))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        for _ in range(3):
            hidden = checkpoint(self._step, hidden, use_reentrant=True)
        return self.last(hidden).square().sum()

    def _step(self, x: torch.Tensor) -> torch.Tensor:
        return (self.again(x).relu() * self.phase).abs()


def reduce_loops(rank: int, port: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    connect()
    for bucket_bytes in BUCKET_BYTES:
        torch.manual_seed(0)
        model = Looped()
        reducer = GradientReducer(dict(model.named_parameters()), bucket_bytes)
        half = inputs()[4 * rank : 4 * rank + 4]
        for _ in range(2):
            model(half[:1]).backward()
            reducer.expect()
            model(half[1:]).backward()
            gradients = reducer.finish()
            assert all(leaf.grad is None for leaf in model.parameters())
        torch.save([one.clone() for one in gradients], f"{folder}/{rank}_{bucket_bytes}.pt")
    reducer.expect()
    used = nn.functional.embedding(torch.tensor([1]), model.again.weight, sparse=True)
    with pytest.raises(InputError, match="update again.weight from a sparse gradient; remove sparse=True"):
        used.sum().backward()


def test_a_layer_that_is_used_and_recomputed_several_times_gets_all_of_its_gradients(tmp_path: Path) -> None:
    run_pair(reduce_loops, tmp_path)
    torch.manual_seed(0)
    model = Looped()
    model(inputs()).backward()
    for bucket_bytes in BUCKET_BYTES:
        for rank in range(2):
            found = torch.load(tmp_path / f"{rank}_{bucket_bytes}.pt")
            torch.testing.assert_close(found, [one.grad for one in model.parameters()])


def run_pair(work: Callable[[int, int, str], None], folder: Path) -> None:
    port = free_port()
    pair = [context().Process(target=work, args=(rank, port, str(folder))) for rank in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(120)
        assert process.exitcode == 0


def test_one_process_is_alone() -> None:
    alone = Processes()
    value = torch.ones(2)
    alone.sum(value)
    assert value.tolist() == [1, 1] and alone.max(3) == 3 and alone.is_main
    with pytest.raises(ValueError, match="^mine$"), alone.agree():
        raise InputError("mine")
