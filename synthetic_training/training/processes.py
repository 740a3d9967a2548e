"""The processes of one run, started by ``torchrun`` or ``accelerate launch``; usually there is only one.

Errors are reported once. If any process finds invalid input, all processes raise the same InputError, and
process 0 prints it. The others end after process 0, because the launcher kills all processes as soon as one
fails, possibly before the message is printed. If one of them fails alone in a training step, such as on a GPU
that is full, process 0 waits for it in vain, and it prints its own message. Process 0 then only says that
another process has ended.
"""

import atexit
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from dataset_builders import InputError
from dataset_builders.command_line import unreported

_REPORTED = "repeat-after-me/reported"
"""Key that process 0 sets in the launcher's store when it ends."""

_LEFT = "repeat-after-me/left/{}"
"""Key that every other process sets once it has seen the key of process 0, or has waited long enough."""

_PATIENCE = timedelta(seconds=5)
"""Maximum time for which a process waits for others: process 0 may hang if another process failed."""


class Processes:
    """This process and the other processes of the run.

    Attributes:
        rank: index of this process, from 0.
        count: number of processes.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank, self.count = rank, count

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and prints."""
        return self.rank == 0

    def device(self, kind: Literal["cpu", "cuda"]) -> torch.device:
        """The device of this process: with several processes, each has its own GPU.

        Raises:
            InputError: this machine has fewer GPUs than processes.
        """
        if kind == "cpu":
            return torch.device("cpu")
        launched = self.count > 1 and "LOCAL_RANK" in os.environ  # otherwise, the caller's script chooses
        local = int(os.environ["LOCAL_RANK"]) if launched else torch.cuda.current_device()
        if local >= torch.cuda.device_count():
            raise InputError(
                f"there are {torch.cuda.device_count()} GPUs for process {local + 1} of this machine; "
                "start one process per GPU"
            )
        torch.cuda.set_device(local)
        return torch.device("cuda", local)

    def sum(self, tensor: Tensor) -> None:
        """Sum a tensor over all processes, in place."""
        if self.count > 1:
            dist.all_reduce(tensor)

    def max(self, number: int) -> int:
        """The maximum of the numbers that the processes pass."""
        if self.count == 1:
            return number
        largest = torch.tensor(number)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return int(largest)

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Copy the content of process 0 into tensors of all processes, such as running means.

        Expanded tensors, which cannot be written, are left as they are.
        """
        for tensor in tensors if self.count > 1 else ():
            expanded = any(
                size > 1 and not stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True)
            )
            if tensor.numel() and not expanded:
                content = tensor.detach().contiguous()  # the tensor itself, unless it is transposed
                dist.broadcast(content.view(-1).view(torch.uint8), 0)
                tensor.detach().copy_(content)

    @contextmanager
    def agree(self) -> Iterator[None]:
        """Wait for all processes at the end of the block; if one raises InputError, all of them raise it.

        Raises:
            InputError: the error of the process with the lowest rank.
        """
        failure: InputError | None = None
        try:
            yield
        except InputError as error:
            failure = error
        # the largest value is from the failed process with the lowest rank; 0 if no process failed
        found = self.max(0 if failure is None else self.count - self.rank)
        if found == 0:
            return
        lowest = self.count - found
        if failure is not None and lowest == self.rank:
            self._broadcast(str(failure), lowest)
            raise failure
        raise InputError(self._broadcast("", lowest))

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Turn the error about a process that has ended too early into one sentence.

        Raises:
            InputError: another process has ended.
        """
        try:
            yield
        except RuntimeError as error:
            if not lost_process(error):
                raise
            raise InputError(
                "another process of this run has ended; its own message, or the launcher's, says why"
            ) from error

    def _broadcast(self, text: str, source: int) -> str:
        """The text of one process, in all processes."""
        if self.count == 1:
            return text
        encoded = torch.frombuffer(bytearray(text.encode() or b" "), dtype=torch.uint8)
        size = torch.tensor(len(encoded))
        dist.broadcast(size, source)
        if self.rank != source:
            encoded = torch.empty(int(size), dtype=torch.uint8)
        dist.broadcast(encoded, source)
        return bytes(encoded.tolist()).decode()


def lost_process(error: Exception) -> bool:
    """Whether an error means that another process has ended during an exchange with it."""
    ends = ("closed by peer", "reset by peer", "Broken pipe")
    return "gloo" in str(error) and any(end in str(error) for end in ends)


@cache
def connect() -> Processes:
    """Join the other processes of this run; without a launcher, this is the only process.

    Raises:
        InputError: the caller's script has joined them without a backend for tensors on the CPU.
    """
    if dist.is_initialized():  # by the caller's script, which also closes the process group
        backends = dist.get_backend_config()
        if "cpu:" not in backends:
            raise InputError(
                f"the process group of this script has no backend for the CPU, only {backends}; pass the "
                "backend cpu:gloo,cuda:nccl to init_process_group"
            )
        return Processes(dist.get_rank(), dist.get_world_size())
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes()
    store, rank, count = next(iter(rendezvous("env://")))
    # operations on CPU tensors, as in ``max``, do not wait for the GPU
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, store=PrefixStore("run", store), rank=rank, world_size=count)
    atexit.register(_leave, store, rank, count)
    return Processes(rank, count)


def _leave(store: Store, rank: int, count: int) -> None:
    """Wait for the end of process 0, which has then printed its message: ``atexit`` functions run later.

    Process 0 first closes its connections, because the others may be waiting for it. It then waits until they
    know that it has printed its message: without a launcher, the store ends with process 0.
    """
    if rank == 0:
        with suppress(dist.DistError):  # another process hangs, or has ended, or the store has
            store.set(_REPORTED, "1")
            dist.destroy_process_group()
            store.wait([_LEFT.format(other) for other in range(1, count)], _PATIENCE)
        return
    try:
        store.wait([_REPORTED], _PATIENCE)
        store.set(_LEFT.format(rank), "1")
    except dist.DistError:  # process 0 hangs, or has ended together with its store
        for message in unreported():  # it waits for this process, whose error it does not know
            print(f"process {rank}: {message}", file=sys.stderr, flush=True)
        with suppress(dist.DistError):
            store.set(_LEFT.format(rank), "1")
        return
    dist.destroy_process_group()
