"""Triton kernel of the selective scan's backward pass: a program runs 16 channels of a sequence backwards.

A program is one warp, and its states are a tile (N, WIDTH): 4 lanes share a row, with 4 neighbouring channels
each, and 8 lanes share a column, with every eighth state each. The left operand of a product on tensor cores
has the same lanes, so sums over channels are products, without an exchange between lanes.

B and C are pairs of float32 in one int64, ordered by lane: a load of fewer elements than a warp has lanes
needs no exchange either. N, the number of states, is a power of 2, at least 16.

Length: the kernel is one function, because its steps share the layout of their registers.
"""
# ruff: noqa: N803, N806  constants of a kernel are written in capitals
# mypy: ignore-errors

import triton
import triton.language as tl

from synthetic_training.models.kernels.mamba_scan_kernels import sigmoid, softplus

LANES = tl.constexpr(4)
PER_LANE = tl.constexpr(4)
STATE_LANES = tl.constexpr(8)

WIDTH = tl.constexpr(16)
"""Channels of a program, LANES * PER_LANE: the shortest sum that Triton computes on tensor cores."""

CHUNK = tl.constexpr(8)
"""Steps between stored states: the columns of a product on tensor cores, one for each step."""

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _low(pair):
    return (pair & 0xFFFFFFFF).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _high(pair):
    return (pair >> 32).to(tl.int32).to(tl.float32, bitcast=True)


@triton.jit
def _states(pair):
    """Pairs (STATE_LANES, PAIRS) as a column of N states: state i * STATE_LANES + l is number i of row l."""
    low, high = _low(pair)[:, :, None], _high(pair)[:, :, None]
    states = tl.where(tl.arange(0, 2)[None, None, :] == 0, low, high)
    return tl.reshape(tl.permute(states, (1, 2, 0)), (2 * pair.shape[0] * pair.shape[1], 1))


@triton.jit
def _partial_sum(tile):
    """Sums over the states of each lane, (STATE_LANES, WIDTH)."""
    return tl.sum(tl.reshape(tile, (tile.shape[0] // STATE_LANES, STATE_LANES, WIDTH)), axis=0)


@triton.jit
def _left(tile):
    """A tile as the left operand of a sum over channels, in the order (PER_LANE, LANES)."""
    N: tl.constexpr = tile.shape[0]
    return tl.reshape(tl.permute(tl.reshape(tile, (N, LANES, PER_LANE)), (0, 2, 1)), (N, WIDTH))


@triton.jit
def _right(v, column, VECTOR: tl.constexpr):
    """A vector of channels as the right operand: one column of CHUNK, the others are zero.

    VECTOR is the number of neighbouring rows that Triton 3.6 gives to a lane: 1, or 2 with joined tensors.
    """
    v = tl.reshape(tl.where(column, v[None, :], 0.0), (CHUNK, LANES, PER_LANE // VECTOR, VECTOR))
    return tl.reshape(tl.permute(v, (2, 1, 3, 0)), (WIDTH, CHUNK))


@triton.jit
def _plus_product(total, left, right, EXACT: tl.constexpr):
    """total + left @ right on tensor cores, whose factors have 11 significant bits.

    With EXACT, each factor is split into two, which gives about the precision of float32.
    """
    if EXACT:
        left_upper = (left.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
        right_upper = (right.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
        total = tl.dot(left - left_upper, right_upper, total, input_precision="tf32")
        total = tl.dot(left_upper, right - right_upper, total, input_precision="tf32")
        left, right = left_upper, right_upper
    return tl.dot(left, right, total, input_precision="tf32")


@triton.jit
def _by_channel(sums):
    """Reorder rows from (PER_LANE, LANES) to the order of the channels, with warp shuffles only."""
    sums = tl.permute(tl.reshape(sums, (PER_LANE, LANES, CHUNK)), (1, 0, 2))
    return tl.reshape(sums, (WIDTH, CHUNK))


@triton.jit
def _inputs(x_ptr, dt_ptr, z_ptr, y_ptr, dout_ptr, inside):
    x = tl.load(x_ptr, mask=inside, other=0.0)
    dt = tl.load(dt_ptr, mask=inside, other=0.0)
    z = tl.load(z_ptr, mask=inside, other=0.0)
    y = tl.load(y_ptr, mask=inside, other=0.0)
    dout = tl.load(dout_ptr, mask=inside, other=0.0)
    return x, dt, z, y, dout


@triton.jit
def _backward_through_gate(inputs, bias, inside, dz_ptr, steps_ptr):
    """Store a chunk's dz, and the delta, delta * x and dy of its steps; zero where not ``inside``."""
    x, dt, z, y, dout = inputs
    x = x.to(tl.float32)
    z = z.to(tl.float32)
    dout = dout.to(tl.float32)
    delta = tl.where(inside, softplus(dt.to(tl.float32) + bias), 0.0)
    gate = sigmoid(z)
    tl.store(dz_ptr, dout * y.to(tl.float32) * gate * (1.0 + z * (1.0 - gate)), mask=inside)
    tl.store(steps_ptr, delta)
    tl.store(steps_ptr + CHUNK * WIDTH, delta * x)
    tl.store(steps_ptr + 2 * CHUNK * WIDTH, dout * z * gate)


@triton.jit(do_not_specialize=("length",))
def backward_kernel(
    x_ptr,
    dt_ptr,
    z_ptr,
    y_ptr,
    dout_ptr,
    b_ptr,
    c_ptr,
    a_ptr,
    skip_ptr,
    bias_ptr,
    states_ptr,
    dx_ptr,
    ddt_ptr,
    dz_ptr,
    db_ptr,
    dc_ptr,
    da_ptr,
    dskip_ptr,
    dbias_ptr,
    steps_ptr,
    length,
    x_b,
    dt_b,
    z_b,
    dout_b,
    x_t: tl.constexpr,
    dt_t: tl.constexpr,
    z_t: tl.constexpr,
    dout_t: tl.constexpr,
    channels: tl.constexpr,
    N: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """Partial sums of db and dc for each block of channels, and of da, dskip and dbias for each sequence.

    A chunk's states are recomputed from the states at its start: every second one is kept, and the others are
    recomputed when their pair of steps is reached. Sums are products with a column for each step of a chunk.

    Values that do not depend on the state are computed for a whole chunk at once, distributed over the lanes,
    and written to ``steps_ptr``; each lane then reads the values of a step through the cache.
    """
    EXACT: tl.constexpr = x_ptr.dtype.element_ty == tl.float32
    PAIRS: tl.constexpr = N // 2 // STATE_LANES
    block = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    chunks = tl.cdiv(length, CHUNK)
    padded = chunks * CHUNK
    d = block * WIDTH + tl.arange(0, WIDTH)
    n = tl.arange(0, N)[:, None]
    pair = tl.arange(0, STATE_LANES)[:, None] * PAIRS + tl.arange(0, PAIRS)[None, :]
    keep = (d < channels) | WHOLE
    tile = d[None, :] + n * channels
    keep_tile = keep[None, :] & (n < N)
    step = tl.arange(0, CHUNK)
    # sums over states, and inputs, are (WIDTH, CHUNK)
    d_row = d[:, None]
    keep_row = keep[:, None]
    x_ptr += batch * x_b + d_row
    dt_ptr += batch * dt_b + d_row
    z_ptr += batch * z_b + d_row
    y_ptr += batch * length * channels + d_row
    dout_ptr += batch * dout_b + d_row
    dz_ptr += batch * length * channels + d_row
    b_ptr += batch * padded * (N // 2) + pair
    c_ptr += batch * padded * (N // 2) + pair
    dx_ptr += batch * length * channels + d_row
    ddt_ptr += batch * length * channels + d_row
    db_ptr += ((block * tl.num_programs(1) + batch) * N + n) * padded + step[None, :]
    dc_ptr += ((block * tl.num_programs(1) + batch) * N + n) * padded + step[None, :]
    states_ptr = states_ptr + batch * (chunks + 1) * N * channels + d[None, :] + n * channels
    steps_ptr += (batch * tl.num_programs(0) + block) * (3 * CHUNK * WIDTH)
    steps_out = steps_ptr + step[None, :] * WIDTH + tl.arange(0, WIDTH)[:, None]
    delta_ptr = steps_ptr + tl.arange(0, WIDTH)
    u_ptr = delta_ptr + CHUNK * WIDTH
    dy_ptr = u_ptr + CHUNK * WIDTH
    a2 = tl.load(a_ptr + tile, mask=keep_tile, other=0.0) * LOG2E
    skip = tl.load(skip_ptr + d_row, mask=keep_row, other=0.0)
    bias = tl.load(bias_ptr + d_row, mask=keep_row, other=0.0)
    # always true, but computed from a loaded value, which has the layout of the tile, unlike a constant
    rates = tl.load(a_ptr + d[None, :] + step[:, None] * channels, mask=keep[None, :], other=0.0)
    true = (rates.to(tl.int32, bitcast=True) & 1) < 2
    # right operands that select the sums for du and for ddelta, which alternate
    of_du = tl.where(tl.arange(0, WIDTH) % 2 == 0, 1.0, 0.0)
    of_ddelta = tl.where(tl.arange(0, WIDTH) % 2 == 0, 0.0, 1.0)
    g = tl.zeros((N, WIDTH), dtype=tl.float32)
    da = tl.zeros((N, WIDTH), dtype=tl.float32)
    dskip = tl.zeros((WIDTH, CHUNK), dtype=tl.float32)
    dbias = tl.zeros((WIDTH, CHUNK), dtype=tl.float32)
    h_after = tl.load(states_ptr + chunks * N * channels, mask=keep_tile, other=0.0)
    h_next = tl.load(states_ptr + (chunks - 1) * N * channels, mask=keep_tile, other=0.0)
    last = (chunks - 1) * CHUNK + step[None, :]
    in_last = keep_row & (last < length)
    of_last = _inputs(
        x_ptr + last * x_t,
        dt_ptr + last * dt_t,
        z_ptr + last * z_t,
        y_ptr + last * channels,
        dout_ptr + last * dout_t,
        in_last,
    )
    _backward_through_gate(of_last, bias, in_last, dz_ptr + last * channels, steps_out)
    tl.debug_barrier()
    for i in range(chunks):
        start = (chunks - 1 - i) * CHUNK
        b_chunk = b_ptr + start * (N // 2)
        c_chunk = c_ptr + start * (N // 2)
        h = h_next
        before = (h,)
        for k in tl.static_range(CHUNK - 2):
            delta = tl.load(delta_ptr + k * WIDTH)
            u = tl.load(u_ptr + k * WIDTH)
            b = _states(tl.load(b_chunk + k * (N // 2)))
            h = tl.exp2(delta[None, :] * a2) * h + u[None, :] * b
            if k % 2 == 1:
                before = before + (h,)  # noqa: RUF005  Triton does not support unpacking
        # without this barrier, the compiler would keep the decays, for which there are no registers
        tl.debug_barrier()
        h = h_after
        db = tl.zeros((N, CHUNK), dtype=tl.float32)
        dc = tl.zeros((N, CHUNK), dtype=tl.float32)
        du = tl.zeros((WIDTH, CHUNK), dtype=tl.float32)
        ddelta = tl.zeros((WIDTH, CHUNK), dtype=tl.float32)
        for j in tl.static_range(CHUNK // 2 - 1, -1, -1):
            if j == 1:
                # load the inputs of the next chunk here: registers are free, and the remaining computation
                # hides the latency
                earlier = start - CHUNK + step[None, :]
                in_earlier = keep_row & (earlier >= 0)
                of_earlier = _inputs(
                    x_ptr + earlier * x_t,
                    dt_ptr + earlier * dt_t,
                    z_ptr + earlier * z_t,
                    y_ptr + earlier * channels,
                    dout_ptr + earlier * dout_t,
                    in_earlier,
                )
            delta0 = tl.load(delta_ptr + 2 * j * WIDTH)
            u0 = tl.load(u_ptr + 2 * j * WIDTH)
            b0 = _states(tl.load(b_chunk + 2 * j * (N // 2)))
            decay0 = tl.exp2(delta0[None, :] * a2)
            between = decay0 * before[j] + u0[None, :] * b0
            for second in tl.static_range(1, -1, -1):
                k = 2 * j + second
                if second == 1:
                    delta = tl.load(delta_ptr + k * WIDTH)
                    u = tl.load(u_ptr + k * WIDTH)
                    b = _states(tl.load(b_chunk + k * (N // 2)))
                    decay = tl.exp2(delta[None, :] * a2)
                    h_before = between
                else:
                    delta, u, b, decay, h_before = delta0, u0, b0, decay0, before[j]
                dy = tl.load(dy_ptr + k * WIDTH)
                c = _states(tl.load(c_chunk + k * (N // 2)))
                column = true & (step == k)[:, None]
                dc = _plus_product(dc, _left(h), _right(dy, column, 1), EXACT)
                g += dy[None, :] * c
                db = _plus_product(db, _left(g), _right(u, column, 1), EXACT)
                sums = _partial_sum(g * b)
                g *= decay
                h = h_before
                gh = g * h
                da += gh * delta[None, :]
                sums = tl.join(sums, _partial_sum(gh * a2))
                sums = tl.reshape(sums, (STATE_LANES, LANES, PER_LANE, 2))
                sums = tl.reshape(tl.permute(sums, (2, 1, 0, 3)), (WIDTH, 2 * STATE_LANES))
                du = _plus_product(du, sums, _right(of_du, column, 2), EXACT)
                ddelta = _plus_product(ddelta, sums, _right(of_ddelta, column, 2), EXACT)
        h_after = h
        h_next = tl.load(
            states_ptr + (tl.maximum(start, CHUNK) // CHUNK - 1) * N * channels, mask=keep_tile, other=0.0
        )
        tl.store(db_ptr + start, db)
        tl.store(dc_ptr + start, dc)
        t = start + step[None, :]
        inside = keep_row & (t < length)
        x = tl.load(x_ptr + t * x_t, mask=inside, other=0.0).to(tl.float32)
        delta = tl.load(steps_out)
        dy = tl.load(steps_out + 2 * CHUNK * WIDTH)
        tl.debug_barrier()
        _backward_through_gate(of_earlier, bias, in_earlier, dz_ptr + earlier * channels, steps_out)
        du, ddelta = _by_channel(du), _by_channel(ddelta)
        ddt = (ddelta * LN2 + du * x) * (1.0 - tl.exp2(-delta * LOG2E))
        dbias += ddt
        dskip += dy * x
        tl.store(dx_ptr + t * channels, du * delta + skip * dy, mask=inside)
        tl.store(ddt_ptr + t * channels, ddt, mask=inside)
        tl.debug_barrier()
    tl.store(da_ptr + batch * N * channels + tile, da, mask=keep_tile)
    d_row = block * WIDTH + tl.arange(0, WIDTH)
    keep_row = (d_row < channels) | WHOLE
    tl.store(dskip_ptr + batch * channels + d_row, tl.sum(dskip, axis=1), mask=keep_row)
    tl.store(dbias_ptr + batch * channels + d_row, tl.sum(dbias, axis=1), mask=keep_row)
