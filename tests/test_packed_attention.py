"""The replacement of flash-attn's attention, compared with sums over single queries."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from synthetic_training.models.packed_attention import flash_attn_func, flash_attn_varlen_func


def reference(q: Tensor, k: Tensor, v: Tensor, left: int) -> Tensor:
    """Attention one query at a time, (queries, heads, width); the last query is at the last key."""
    rows = []
    for i in range(len(q)):
        own = len(k) - len(q) + i
        first = 0 if left < 0 else max(0, own - left)
        group = q.shape[1] // k.shape[1]
        heads = []
        for head in range(q.shape[1]):
            keys, values = (one[first : own + 1, head // group] for one in (k, v))
            weights = (keys @ q[i, head] / q.shape[-1] ** 0.5).softmax(0)
            heads.append(weights @ values)
        rows.append(torch.stack(heads))
    return torch.stack(rows)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(0, 4)), min_size=1, max_size=3),
    st.sampled_from([-1, 0, 1, 3]),
    st.sampled_from([(2, 2), (4, 2)]),
)
def test_each_sequence_attends_to_itself(
    lengths: list[tuple[int, int]], left: int, heads: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(length: int, count: int) -> Tensor:
        return torch.randn(length, count, 8, generator=generator, dtype=torch.float64)

    q = [draw(queries, heads[0]) for queries, _ in lengths]
    k, v = ([draw(queries + more, heads[1]) for queries, more in lengths] for _ in range(2))
    window = (left, 0) if left >= 0 else (-1, -1)
    expected = [reference(*one, left) for one in zip(q, k, v, strict=True)]
    for i in range(len(q)):
        alone = flash_attn_func(q[i][None], k[i][None], v[i][None], causal=True, window_size=window)[0]
        torch.testing.assert_close(alone, expected[i])
    limits = [torch.tensor([0, *(len(one) for one in parts)]).cumsum(0).int() for parts in (q, k)]
    packed = flash_attn_varlen_func(
        torch.cat(q), torch.cat(k), torch.cat(v), cu_seqlens_q=limits[0], cu_seqlens_k=limits[1],
        max_seqlen_q=6, max_seqlen_k=10, causal=True, window_size=window,
    )  # fmt: skip
    torch.testing.assert_close(packed, torch.cat(expected))


@pytest.mark.parametrize("left", [-1, 2])
def test_gradients_are_those_of_the_reference(left: int) -> None:
    q, k, v = torch.randn(3, 5, 2, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = []
    for function in (
        lambda *one: flash_attn_func(*(x[None] for x in one), causal=True, window_size=(left, 0))[0],
        lambda *one: reference(*one, left),
    ):
        leaves = [one.clone().requires_grad_() for one in (q, k, v)]
        function(*leaves).square().sum().backward()
        found.append([one.grad for one in leaves])
    torch.testing.assert_close(*found)
