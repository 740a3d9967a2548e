"""Triton kernels of the selective scan: a program runs a block of channels of one sequence through time.

Its states stay in registers as a tile of shape (LD, N, R): channel d = ld * R + r, state n. The compiler
distributes the first axis, then the second, over the lanes of a warp and keeps the last in registers. So LD
determines how many shuffles a sum over states or over channels costs: LD = 32 (forward) needs none over
states, and LD = 4 (backward) needs the fewest over both. Decay rates are a matrix (N, channels), so that
neighbours in memory are channels.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
LN2 = tl.constexpr(0.6931471805599453)


@triton.jit
def _softplus(v):
    # log(1 + e) = 2 artanh(e / (2 + e)) as a series: 1 + e would lose the digits of a small e
    e = tl.exp2(-tl.abs(v) * LOG2E)
    s = e / (2.0 + e)
    s2 = s * s
    p = s2 / 13.0 + 1.0 / 11.0
    p = p * s2 + 1.0 / 9.0
    p = p * s2 + 1.0 / 7.0
    p = p * s2 + 1.0 / 5.0
    p = p * s2 + 1.0 / 3.0
    return tl.maximum(v, 0.0) + 2.0 * (s + s * s2 * p)


@triton.jit
def _sigmoid(v):
    return 1.0 / (1.0 + tl.exp2(-v * LOG2E))


# one lane per channel: with aligned pointers, the compiler would give four channels to a lane
@triton.jit(do_not_specialize=("length",), do_not_specialize_on_alignment=("a_ptr", "states_ptr"))
def forward_kernel(
    x_ptr,
    dt_ptr,
    z_ptr,
    b_ptr,
    c_ptr,
    a_ptr,
    skip_ptr,
    bias_ptr,
    out_ptr,
    y_ptr,
    states_ptr,
    length,
    channels,
    x_b,
    x_t,
    dt_b,
    dt_t,
    z_b,
    z_t,
    b_b,
    b_t,
    c_b,
    c_t,
    N: tl.constexpr,
    LD: tl.constexpr,
    CHUNK: tl.constexpr,
    WHOLE: tl.constexpr,
    SAVE: tl.constexpr,
):
    """Gated output; with SAVE, also the output before the gate and the states at the start of each chunk."""
    batch = tl.program_id(1).to(tl.int64)
    d = tl.program_id(0) * LD + tl.arange(0, LD)
    n = tl.arange(0, N)
    keep = (d < channels) | WHOLE
    tile = n[None, :] * channels + d[:, None]
    keep_tile = keep[:, None] & (n < N)[None, :]
    a2 = tl.load(a_ptr + tile, mask=keep_tile, other=0.0) * LOG2E
    skip = tl.load(skip_ptr + d, mask=keep, other=0.0)
    bias = tl.load(bias_ptr + d, mask=keep, other=0.0)
    x_ptr += batch * x_b + d
    dt_ptr += batch * dt_b + d
    z_ptr += batch * z_b + d
    b_ptr += batch * b_b + n
    c_ptr += batch * c_b + n
    out_ptr += batch * length * channels + d
    y_ptr += batch * length * channels + d
    states_ptr += batch * tl.cdiv(length, CHUNK) * N * channels
    h = tl.zeros((LD, N), dtype=tl.float32)
    x_next = tl.load(x_ptr, mask=keep, other=0.0)
    dt_next = tl.load(dt_ptr, mask=keep, other=0.0)
    z_next = tl.load(z_ptr, mask=keep, other=0.0)
    b_next = tl.load(b_ptr)
    c_next = tl.load(c_ptr)
    for t in range(length):
        if SAVE and t % CHUNK == 0:
            tl.store(states_ptr + tile, h, mask=keep_tile)
            states_ptr += N * channels
        x, dt, z, b, c = x_next, dt_next, z_next, b_next, c_next
        # the next step's inputs are loaded while this one is computed; the last step loads its own again
        later = tl.minimum(t + 1, length - 1)
        x_next = tl.load(x_ptr + later * x_t, mask=keep, other=0.0)
        dt_next = tl.load(dt_ptr + later * dt_t, mask=keep, other=0.0)
        z_next = tl.load(z_ptr + later * z_t, mask=keep, other=0.0)
        b_next = tl.load(b_ptr + later * b_t)
        c_next = tl.load(c_ptr + later * c_t)
        x = x.to(tl.float32)
        z = z.to(tl.float32)
        delta = _softplus(dt.to(tl.float32) + bias)
        h = tl.exp2(delta[:, None] * a2) * h + (delta * x)[:, None] * b.to(tl.float32)[None, :]
        y = tl.sum(h * c.to(tl.float32)[None, :], axis=1) + skip * x
        if SAVE:
            tl.store(y_ptr + t * channels, y, mask=keep)
        tl.store(out_ptr + t * channels, y * z * _sigmoid(z), mask=keep)


@triton.jit(do_not_specialize=("length", "padded"))
def gate_backward_kernel(
    dout_ptr,
    y_ptr,
    z_ptr,
    dt_ptr,
    bias_ptr,
    dy_ptr,
    dz_ptr,
    delta_ptr,
    length,
    padded,
    channels,
    dout_b,
    dout_t,
    z_b,
    z_t,
    dt_b,
    dt_t,
    BLOCK: tl.constexpr,
):
    """Backward through the gate, with the scan's steps; zeros fill ``dy`` to the end of the last chunk."""
    batch = (tl.program_id(0) // padded).to(tl.int64)
    t = tl.program_id(0) % padded
    d = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    keep = d < channels
    inside = keep & (t + d * 0 < length)  # the interpreter does not turn a comparison of scalars into a mask
    dout = tl.load(dout_ptr + batch * dout_b + t * dout_t + d, mask=inside, other=0.0).to(tl.float32)
    z = tl.load(z_ptr + batch * z_b + t * z_t + d, mask=inside, other=0.0).to(tl.float32)
    dt = tl.load(dt_ptr + batch * dt_b + t * dt_t + d, mask=inside, other=0.0).to(tl.float32)
    bias = tl.load(bias_ptr + d, mask=keep, other=0.0)
    row = (batch * length + t) * channels + d
    y = tl.load(y_ptr + row, mask=inside, other=0.0).to(tl.float32)
    gate = _sigmoid(z)
    tl.store(dz_ptr + row, dout * y * gate * (1.0 + z * (1.0 - gate)), mask=inside)
    row = (batch * padded + t) * channels + d
    tl.store(dy_ptr + row, dout * z * gate, mask=keep)
    tl.store(delta_ptr + row, _softplus(dt + bias), mask=keep)


@triton.jit(do_not_specialize=("length",))
def backward_kernel(
    x_ptr,
    delta_ptr,
    dy_ptr,
    b_ptr,
    c_ptr,
    a_ptr,
    skip_ptr,
    states_ptr,
    dx_ptr,
    ddt_ptr,
    db_ptr,
    dc_ptr,
    da_ptr,
    dskip_ptr,
    dbias_ptr,
    length,
    channels,
    x_b,
    x_t,
    b_b,
    b_t,
    c_b,
    c_t,
    N: tl.constexpr,
    LD: tl.constexpr,
    R: tl.constexpr,
    CHUNK: tl.constexpr,
    WHOLE: tl.constexpr,
):
    """Parts of db and dc for each block of channels, and of da, dskip and dbias for each sequence."""
    block = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    d = block * (LD * R) + tl.arange(0, LD)[:, None] * R + tl.arange(0, R)[None, :]
    n = tl.arange(0, N)
    keep = (d < channels) | WHOLE
    tile = n[None, :, None] * channels + d[:, None, :]
    keep_tile = keep[:, None, :] & (n < N)[None, :, None]
    a2 = tl.load(a_ptr + tile, mask=keep_tile, other=0.0) * LOG2E
    skip = tl.load(skip_ptr + d, mask=keep, other=0.0)
    chunks = tl.cdiv(length, CHUNK)
    x_ptr += batch * x_b + d
    delta_ptr += batch * chunks * CHUNK * channels + d
    dy_ptr += batch * chunks * CHUNK * channels + d
    b_ptr += batch * b_b + n
    c_ptr += batch * c_b + n
    dx_ptr += batch * length * channels + d
    ddt_ptr += batch * length * channels + d
    db_ptr += (block * tl.num_programs(1) + batch) * length * N + n
    dc_ptr += (block * tl.num_programs(1) + batch) * length * N + n
    states_ptr += batch * chunks * N * channels + tile
    g = tl.zeros((LD, N, R), dtype=tl.float32)
    da = tl.zeros((LD, N, R), dtype=tl.float32)
    dskip = tl.zeros((LD, R), dtype=tl.float32)
    dbias = tl.zeros((LD, R), dtype=tl.float32)
    for i in range(chunks):
        chunk = chunks - 1 - i
        h = tl.load(states_ptr + chunk * N * channels, mask=keep_tile, other=0.0)
        before = ()
        for k in tl.static_range(CHUNK):
            t = chunk * CHUNK + k
            within = tl.minimum(t, length - 1)
            x = tl.load(x_ptr + within * x_t, mask=keep, other=0.0).to(tl.float32)
            b = tl.load(b_ptr + within * b_t).to(tl.float32)
            delta = tl.load(delta_ptr + t * channels, mask=keep, other=0.0)
            before = before + (h,)  # noqa: RUF005  the compiler knows no unpacking
            h = tl.exp2(delta[:, None, :] * a2) * h + (delta * x)[:, None, :] * b[None, :, None]
        for k in tl.static_range(CHUNK - 1, -1, -1):
            t = chunk * CHUNK + k
            within = tl.minimum(t, length - 1)
            x = tl.load(x_ptr + within * x_t, mask=keep, other=0.0).to(tl.float32)
            b = tl.load(b_ptr + within * b_t).to(tl.float32)
            c = tl.load(c_ptr + within * c_t).to(tl.float32)
            delta = tl.load(delta_ptr + t * channels, mask=keep, other=0.0)
            dy = tl.load(dy_ptr + t * channels, mask=keep, other=0.0).to(tl.float32)
            dc = tl.sum(tl.sum(h * dy[:, None, :], axis=2), axis=0)
            g += dy[:, None, :] * c[None, :, None]
            db = tl.sum(tl.sum(g * (delta * x)[:, None, :], axis=2), axis=0)
            du = tl.sum(g * b[None, :, None], axis=1)
            g *= tl.exp2(delta[:, None, :] * a2)
            h = before[k]
            gh = g * h
            da += gh * delta[:, None, :]
            ddelta = tl.sum(gh * a2, axis=1) * LN2 + du * x
            ddt = ddelta * (1.0 - tl.exp2(-delta * LOG2E))
            dbias += ddt
            dskip += dy * x
            inside = keep & (t + d * 0 < length)
            tl.store(dx_ptr + t * channels, du * delta + skip * dy, mask=inside)
            tl.store(ddt_ptr + t * channels, ddt, mask=inside)
            tl.store(db_ptr + t * N, db, mask=t + n * 0 < length)
            tl.store(dc_ptr + t * N, dc, mask=t + n * 0 < length)
    tl.store(da_ptr + batch * N * channels + tile, da, mask=keep_tile)
    tl.store(dskip_ptr + batch * channels + d, dskip, mask=keep)
    tl.store(dbias_ptr + batch * channels + d, dbias, mask=keep)
