"""Sums of gradients over processes, made while the backward pass is still computing earlier layers.

Gradients are gathered into buckets of some megabytes in the order in which the backward pass produces them,
about the reverse of the model's. A bucket is sent as soon as it is full, and its sum is waited for at the
end of the pass. All processes send the buckets in the same order, as collective operations require.

A sum has the type of its gradients: those of bfloat16 weights are in bfloat16, as they are with one process.
Each of the N - 1 additions rounds once more, to the 8 bits to which every gradient was rounded before.

Everything here can be captured in a CUDA graph: buffers stay where they are, and NCCL's work is only waited
for on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch import distributed as dist

BUCKET_BYTES = 100 * 2**20
"""Size from which on a bucket is full. On two pairs of H200s, a step of the paper's size had 1.5% more tokens
per second than with the 25 MiB of PyTorch's DistributedDataParallel."""


@dataclass(eq=False)
class _Bucket:
    """Gradients that are sent together.

    Attributes:
        buffer: (N,) of the type of the gradients, all of them one after the other.
        places: the gradients in the buffer, in the order of the leaves.
        leaves: whose gradients they are.
        missing: how many of them the backward pass has not produced yet.
    """

    buffer: Tensor
    places: list[Tensor]
    leaves: list[Tensor]
    missing: int = 0

    @torch.no_grad()
    def gather(self) -> None:
        """Move the leaves' gradients into the buffer, in one launch of a kernel on a GPU."""
        gradients = []
        for place, leaf in zip(self.places, self.leaves, strict=True):
            # what took no part has no gradient
            gradients.append(torch.zeros_like(place) if leaf.grad is None else leaf.grad)
        torch._foreach_copy_(self.places, gradients)
        for leaf in self.leaves:
            leaf.grad = None


class GradientReducer:
    """Sums the gradients of leaf tensors over all processes.

    Args:
        leaves: tensors that require gradients, in the order of the model.
        bucket_bytes: size from which on a bucket is full.
    """

    def __init__(self, leaves: Sequence[Tensor], bucket_bytes: int = BUCKET_BYTES) -> None:
        self._leaves = list(leaves)
        self._buckets: list[_Bucket] = []
        self._places: dict[Tensor, Tensor] = {}
        self._bucket_of: dict[Tensor, _Bucket] = {}
        part: list[Tensor] = []
        for leaf in reversed(self._leaves):
            if part and part[0].dtype != leaf.dtype:
                self._add_bucket(part)
                part = []
            part.append(leaf)
            if sum(one.nbytes for one in part) >= bucket_bytes:
                self._add_bucket(part)
                part = []
        if part:
            self._add_bucket(part)
        self._works: list[dist.Work] = []
        self._arrived: set[Tensor] = set()
        self._expecting = self._hooked = False

    def _add_bucket(self, leaves: list[Tensor]) -> None:
        sizes = [leaf.numel() for leaf in leaves]
        buffer = torch.zeros(sum(sizes), device=leaves[0].device, dtype=leaves[0].dtype)
        places = [view.view_as(leaf) for leaf, view in zip(leaves, buffer.split(sizes), strict=True)]
        bucket = _Bucket(buffer, places, leaves)
        self._buckets.append(bucket)
        self._places.update(zip(leaves, places, strict=True))
        self._bucket_of.update(dict.fromkeys(leaves, bucket))

    def expect(self) -> None:
        """Send what the next backward pass produces. Earlier passes of the same step are included."""
        if not self._hooked:
            # here and not earlier: a hook belongs to the stream on which it was registered, and a captured
            # step has a stream of its own
            for leaf in self._leaves:
                leaf.register_post_accumulate_grad_hook(self._take)
            self._hooked = True
        for bucket in self._buckets:
            bucket.missing = len(bucket.leaves)
        self._works.clear()
        self._arrived.clear()
        self._expecting = True

    def finish(self) -> list[Tensor]:
        """Wait for the sums.

        Returns:
            The summed gradient of each leaf in its type, in the order of the leaves; zeros for one that took
            no part in the output.
        """
        for leaf in self._leaves:
            if leaf not in self._arrived:
                self._take(leaf)
        for work in self._works:
            work.wait()
        self._expecting = False
        return [self._places[leaf] for leaf in self._leaves]

    def _take(self, leaf: Tensor) -> None:
        if not self._expecting:
            return
        self._arrived.add(leaf)
        self._bucket_of[leaf].missing -= 1
        while len(self._works) < len(self._buckets) and not self._buckets[len(self._works)].missing:
            bucket = self._buckets[len(self._works)]
            bucket.gather()
            work = dist.all_reduce(bucket.buffer, async_op=True)
            assert work is not None  # noqa: S101  as for every process of the group
            self._works.append(work)
