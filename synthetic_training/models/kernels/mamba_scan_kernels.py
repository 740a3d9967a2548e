"""Triton kernel of the selective scan's forward pass.

A program processes a block of channels of one sequence, step by step. States stay in registers; a lane holds
all states of one channel. N, the number of states, is a power of 2. Decay rates are a matrix (N, channels),
whose neighbours in memory are channels. Strides between steps are constants, so that most addresses become
immediate offsets of instructions.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def softplus(v):
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
def sigmoid(v):
    return 1.0 / (1.0 + tl.exp2(-v * LOG2E))


# for one channel per lane: if it knew that the pointers are aligned, the compiler would give a lane four
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
    x_b,
    dt_b,
    z_b,
    x_t: tl.constexpr,
    dt_t: tl.constexpr,
    z_t: tl.constexpr,
    channels: tl.constexpr,
    N: tl.constexpr,
    LD: tl.constexpr,
    STEPS: tl.constexpr,
    WHOLE: tl.constexpr,
    SAVE: tl.constexpr,
):
    """Gated output; with SAVE, also the output before the gate, and the states between chunks of STEPS steps.

    The states are (batch, chunks + 1, N, channels); the first are zero, the last those at the end.
    """
    batch = tl.program_id(1).to(tl.int64)
    chunks = tl.cdiv(length, STEPS)
    d = tl.program_id(0) * LD + tl.arange(0, LD)
    n = tl.arange(0, N)[None, :]
    keep = (d < channels) | WHOLE
    keep_tile = keep[:, None] & (n < N)
    a2 = tl.load(a_ptr + d[:, None] + n * channels, mask=keep_tile, other=0.0) * LOG2E
    skip = tl.load(skip_ptr + d, mask=keep, other=0.0)
    bias = tl.load(bias_ptr + d, mask=keep, other=0.0)
    x_ptr += batch * x_b + d
    dt_ptr += batch * dt_b + d
    z_ptr += batch * z_b + d
    b_ptr += batch * chunks * STEPS * N + tl.arange(0, N)
    c_ptr += batch * chunks * STEPS * N + tl.arange(0, N)
    out_ptr += batch * length * channels + d
    y_ptr += batch * length * channels + d
    # constants are added last, so that they become immediate offsets
    states_ptr = states_ptr + batch * (chunks + 1) * N * channels + d[:, None]
    h = tl.zeros((LD, N), dtype=tl.float32)
    x_next = tl.load(x_ptr, mask=keep, other=0.0)
    dt_next = tl.load(dt_ptr, mask=keep, other=0.0)
    z_next = tl.load(z_ptr, mask=keep, other=0.0)
    b_next = tl.load(b_ptr)
    c_next = tl.load(c_ptr)
    for t in range(length):
        if SAVE and t % STEPS == 0:
            tl.store(states_ptr + n * channels, h, mask=keep_tile)
            states_ptr += N * channels
        x, dt, z, b, c = x_next, dt_next, z_next, b_next, c_next
        # load the next step's inputs while this step is computed; the last step reloads its own
        later = tl.minimum(t + 1, length - 1)
        x_next = tl.load(x_ptr + later * x_t, mask=keep, other=0.0)
        dt_next = tl.load(dt_ptr + later * dt_t, mask=keep, other=0.0)
        z_next = tl.load(z_ptr + later * z_t, mask=keep, other=0.0)
        b_next = tl.load(b_ptr + later * N)
        c_next = tl.load(c_ptr + later * N)
        x = x.to(tl.float32)
        z = z.to(tl.float32)
        delta = softplus(dt.to(tl.float32) + bias)
        h = tl.exp2(delta[:, None] * a2) * h + (delta * x)[:, None] * b[None, :]
        y = tl.sum(h * c[None, :], axis=1) + skip * x
        if SAVE:
            tl.store(y_ptr + t * channels, y, mask=keep)
        tl.store(out_ptr + t * channels, y * z * sigmoid(z), mask=keep)
    if SAVE:
        tl.store(states_ptr + n * channels, h, mask=keep_tile)
