"""Sums of gradients over processes, made while the backward pass is still computing earlier layers.

Gradients are gathered into buckets of some megabytes in the order in which the backward pass produces them,
about the reverse of the model's. A bucket is sent as soon as it is full, and its sum is waited for at the
end of the pass. All processes send the buckets in the same order, as collective operations require.

Sums are made in float32, those of bfloat16 gradients too. In bfloat16 each of the N - 1 additions of a ring
would round to 8 bits, and the result would depend on the number of processes by more than the rounding of
float32. Twice the bytes cost little, because sending overlaps with computing.

Everything here can be captured in a CUDA graph: buffers stay where they are, and NCCL's work is only waited
for on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch import distributed as dist

BUCKET_BYTES = 25 * 2**20
"""Size from which on a bucket is full, the default of PyTorch's DistributedDataParallel."""


@dataclass(eq=False)
class _Bucket:
    """Gradients that are sent together.

    Attributes:
        buffer: (N,) float32, all gradients one after the other.
        leaves: whose gradients they are.
        missing: how many of them the backward pass has not produced yet.
    """

    buffer: Tensor
    leaves: list[Tensor] = field(default_factory=list)
    missing: int = 0


class GradientReducer:
    """Sums the gradients of leaf tensors over all processes.

    Args:
        leaves: tensors that require gradients, in the order of the model.
        bucket_bytes: size from which on a bucket is full.
    """

    def __init__(self, leaves: Sequence[Tensor], bucket_bytes: int = BUCKET_BYTES) -> None:
        self._leaves = list(leaves)
        self._buckets: list[_Bucket] = []
        self._places: dict[Tensor, tuple[_Bucket, Tensor]] = {}
        part: list[Tensor] = []
        for leaf in reversed(self._leaves):
            part.append(leaf)
            if 4 * sum(one.numel() for one in part) >= bucket_bytes:
                self._add_bucket(part)
                part = []
        if part:
            self._add_bucket(part)
        self._works: list[dist.Work] = []
        self._arrived: set[Tensor] = set()
        self._expecting = self._hooked = False

    def _add_bucket(self, leaves: list[Tensor]) -> None:
        sizes = [leaf.numel() for leaf in leaves]
        bucket = _Bucket(torch.zeros(sum(sizes), device=leaves[0].device), leaves)
        self._buckets.append(bucket)
        for leaf, view in zip(leaves, bucket.buffer.split(sizes), strict=True):
            self._places[leaf] = bucket, view.view_as(leaf)

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
            The summed gradient of each leaf in float32, in the order of the leaves; zeros for one that took
            no part in the output.
        """
        for leaf in self._leaves:
            if leaf not in self._arrived:
                self._take(leaf)
        for work in self._works:
            work.wait()
        self._expecting = False
        return [self._places[leaf][1] for leaf in self._leaves]

    @torch.no_grad()
    def _take(self, leaf: Tensor) -> None:
        if not self._expecting:
            return
        bucket, place = self._places[leaf]
        if leaf.grad is None:
            place.zero_()
        else:
            place.copy_(leaf.grad)
            leaf.grad = None
        self._arrived.add(leaf)
        bucket.missing -= 1
        while len(self._works) < len(self._buckets) and not self._buckets[len(self._works)].missing:
            work = dist.all_reduce(self._buckets[len(self._works)].buffer, async_op=True)
            assert work is not None  # noqa: S101  as for every process of the group
            self._works.append(work)
