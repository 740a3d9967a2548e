"""Triton kernels for attention of heads that see only the last few keys; ``window_attention`` launches them.

A program handles one head of one sequence and a block of positions: it loads them once, then goes through the
distances 0 .. h and loads the block at each distance, which is in a cache by then. Scores, weights and sums
are float32. The backward pass computes the weights again from the log-sum-exp of a query's scores:

    w = exp(s q.k - lse)    delta = sum of w (g.v)    dq = s sum of w (g.v - delta) k
    dv = sum of w g         dk = s sum of w (g.v - delta) q

where s is the scaling and g is the output's gradient, in two kernels: one for queries and one for keys.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def _place(heads, length, BLOCK: tl.constexpr):
    """This program's sequence, head and positions; the longest windows start first."""
    program = tl.program_id(0)
    blocks = tl.cdiv(length, BLOCK)
    head = heads - 1 - program % heads
    block = program // heads % blocks
    batch = (program // heads // blocks).to(tl.int64)
    return batch, head, (block * BLOCK + tl.arange(0, BLOCK)).to(tl.int64)


@triton.jit
def _load(ptr, at, dim, inside, stride_l, stride_d, D: tl.constexpr):
    """Rows (BLOCK, PADDED) as float32, zeros outside."""
    tile = at[:, None] * stride_l + dim[None, :] * stride_d
    return tl.load(ptr + tile, mask=inside[:, None] & (dim < D)[None, :], other=0.0).to(tl.float32)


@triton.jit
def _store(ptr, tile, batch, head, at, dim, heads, length, D: tl.constexpr):
    row = (batch * length + at) * heads + head
    keep = (at < length)[:, None] & (dim < D)[None, :]
    tl.store(ptr + row[:, None] * D + dim[None, :], tile.to(ptr.dtype.element_ty), mask=keep)


@triton.jit(do_not_specialize=("heads", "length"))
def window_forward_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    lse_ptr,
    scaling,
    heads,
    length,
    q_b,
    q_h,
    q_l,
    q_d,
    k_b,
    k_h,
    k_l,
    k_d,
    v_b,
    v_h,
    v_l,
    v_d,
    D: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    batch, head, at = _place(heads, length, BLOCK)
    dim = tl.arange(0, PADDED)
    inside = at < length
    q_ptr += batch * q_b + head * q_h
    k_ptr += batch * k_b + head * k_h
    v_ptr += batch * v_b + head * v_h
    q = _load(q_ptr, at, dim, inside, q_l, q_d, D) * (scaling * LOG2E)
    # every query sees itself, so the highest score is finite from the start
    highest = tl.sum(q * _load(k_ptr, at, dim, inside, k_l, k_d, D), axis=1)
    total = tl.full((BLOCK,), 1.0, dtype=tl.float32)
    out = _load(v_ptr, at, dim, inside, v_l, v_d, D)
    for distance in range(1, head + 1):
        seen = at - distance
        sees = inside & (seen >= 0)
        score = tl.sum(q * _load(k_ptr, seen, dim, sees, k_l, k_d, D), axis=1)
        score = tl.where(sees, score, float("-inf"))
        higher = tl.maximum(highest, score)
        shrink = tl.exp2(highest - higher)
        weight = tl.exp2(score - higher)
        total = total * shrink + weight
        v = _load(v_ptr, seen, dim, sees, v_l, v_d, D)
        out = out * shrink[:, None] + weight[:, None] * v
        highest = higher
    _store(out_ptr, out / total[:, None], batch, head, at, dim, heads, length, D)
    tl.store(lse_ptr + (batch * heads + head) * length + at, highest + tl.log2(total), mask=inside)


@triton.jit(do_not_specialize=("heads", "length"))
def window_query_kernel(
    g_ptr,
    q_ptr,
    k_ptr,
    v_ptr,
    lse_ptr,
    delta_ptr,
    dq_ptr,
    scaling,
    heads,
    length,
    g_b,
    g_h,
    g_l,
    g_d,
    q_b,
    q_h,
    q_l,
    q_d,
    k_b,
    k_h,
    k_l,
    k_d,
    v_b,
    v_h,
    v_l,
    v_d,
    D: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradient of a block of queries, and delta."""
    batch, head, at = _place(heads, length, BLOCK)
    dim = tl.arange(0, PADDED)
    inside = at < length
    k_ptr += batch * k_b + head * k_h
    v_ptr += batch * v_b + head * v_h
    q = _load(q_ptr + batch * q_b + head * q_h, at, dim, inside, q_l, q_d, D) * (scaling * LOG2E)
    g = _load(g_ptr + batch * g_b + head * g_h, at, dim, inside, g_l, g_d, D)
    row = (batch * heads + head) * length + at
    lse = tl.load(lse_ptr + row, mask=inside, other=0.0)
    delta = tl.zeros((BLOCK,), dtype=tl.float32)
    # delta is known only at the end, so its contribution to dq is summed separately
    dq = tl.zeros((BLOCK, PADDED), dtype=tl.float32)
    mean = tl.zeros((BLOCK, PADDED), dtype=tl.float32)
    for distance in range(head + 1):
        seen = at - distance
        sees = inside & (seen >= 0)
        k = _load(k_ptr, seen, dim, sees, k_l, k_d, D)
        v = _load(v_ptr, seen, dim, sees, v_l, v_d, D)
        weight = tl.exp2(tl.where(sees, tl.sum(q * k, axis=1) - lse, float("-inf")))
        change = weight * tl.sum(g * v, axis=1)
        delta += change
        dq += change[:, None] * k
        mean += weight[:, None] * k
    dq = (dq - delta[:, None] * mean) * scaling
    _store(dq_ptr, dq, batch, head, at, dim, heads, length, D)
    tl.store(delta_ptr + row, delta, mask=inside)


@triton.jit(do_not_specialize=("heads", "length"))
def window_key_kernel(
    g_ptr,
    q_ptr,
    k_ptr,
    v_ptr,
    lse_ptr,
    delta_ptr,
    dk_ptr,
    dv_ptr,
    scaling,
    heads,
    length,
    g_b,
    g_h,
    g_l,
    g_d,
    q_b,
    q_h,
    q_l,
    q_d,
    k_b,
    k_h,
    k_l,
    k_d,
    v_b,
    v_h,
    v_l,
    v_d,
    D: tl.constexpr,
    PADDED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Gradients of a block of keys and values, from the queries that see them."""
    batch, head, at = _place(heads, length, BLOCK)
    dim = tl.arange(0, PADDED)
    inside = at < length
    g_ptr += batch * g_b + head * g_h
    q_ptr += batch * q_b + head * q_h
    lse_ptr += (batch * heads + head) * length
    delta_ptr += (batch * heads + head) * length
    k = _load(k_ptr + batch * k_b + head * k_h, at, dim, inside, k_l, k_d, D)
    v = _load(v_ptr + batch * v_b + head * v_h, at, dim, inside, v_l, v_d, D)
    dk = tl.zeros((BLOCK, PADDED), dtype=tl.float32)
    dv = tl.zeros((BLOCK, PADDED), dtype=tl.float32)
    for distance in range(head + 1):
        seer = at + distance
        sees = seer < length
        q = _load(q_ptr, seer, dim, sees, q_l, q_d, D) * (scaling * LOG2E)
        g = _load(g_ptr, seer, dim, sees, g_l, g_d, D)
        lse = tl.load(lse_ptr + seer, mask=sees, other=0.0)
        delta = tl.load(delta_ptr + seer, mask=sees, other=0.0)
        weight = tl.exp2(tl.where(sees, tl.sum(q * k, axis=1) - lse, float("-inf")))
        change = weight * (tl.sum(g * v, axis=1) - delta)
        dk += change[:, None] * q
        dv += weight[:, None] * g
    # q was already multiplied by the scaling and log2(e)
    _store(dk_ptr, dk / LOG2E, batch, head, at, dim, heads, length, D)
    _store(dv_ptr, dv, batch, head, at, dim, heads, length, D)
