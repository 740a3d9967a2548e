"""The operations that ``kernels`` measures, with the kernels of this project and of other packages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from synthetic_training.models.kernels import mamba_scan
from synthetic_training.models.kernels.causal_convolution import shifted_products

_HEADS, _WIDTH = 8, 64

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Contender:
    """An implementation of an operation.

    Attributes:
        function: function that computes the output from the operation's inputs.
        dtype: dtype of the activations that it receives.
        channels_first: whether inputs (batch, length, channels) have the memory layout (batch, channels,
            length).
    """

    function: Function
    dtype: torch.dtype = torch.bfloat16
    channels_first: bool = False


@dataclass(frozen=True)
class Operation:
    """An operation that several packages implement.

    Attributes:
        name: name of the operation.
        inputs: function that returns float64 inputs on the GPU for a number of rows.
        reference: the plain definition, computed in the dtype of its inputs.
        others: functions that import a package and return the implementation to measure, by its name.
        kept: indices of inputs that stay in float32, such as decay rates.
    """

    name: str
    inputs: Callable[[int], list[Tensor]]
    reference: Function
    others: dict[str, Callable[[], Contender]]
    kept: frozenset[int] = frozenset()


def _random(*shapes: Sequence[int]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(*shape, device="cuda", dtype=torch.float64) for shape in shapes]


def scan(tokens: int, channels: int, states: int) -> Operation:
    """The selective scan of one layer, with the step sizes and decay rates of a newly initialised model."""

    def inputs(rows: int) -> list[Tensor]:
        wide, narrow = (rows, tokens, channels), (rows, tokens, states)
        x, dt, b, c, z, skip, bias = _random(wide, wide, narrow, narrow, wide, (channels,), (channels,))
        decay = -torch.arange(1, states + 1, device="cuda").double().repeat(channels, 1)
        return [x, 0.1 * dt, decay, b, c, skip, z, bias - 4]

    def ours(dtype: torch.dtype) -> Contender:
        from synthetic_training.models.kernels import mamba_scan_triton

        return Contender(mamba_scan_triton.selective_scan, dtype)

    def authors(dtype: torch.dtype, channels_first: bool = True) -> Contender:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

        def scan(
            x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, skip: Tensor, z: Tensor, bias: Tensor
        ) -> Tensor:
            x, dt, b, c, z = (v.transpose(1, 2).contiguous() for v in (x, dt, b, c, z))
            y: Tensor = selective_scan_fn(x, dt, a, b, c, skip, z, bias, delta_softplus=True)
            return y.transpose(1, 2)

        return Contender(scan, dtype, channels_first)

    return Operation(
        "selective scan",
        inputs,
        mamba_scan.selective_scan,
        {
            "ours, bf16": lambda: ours(torch.bfloat16),
            "ours, fp32": lambda: ours(torch.float32),
            "mamba_ssm, bf16": lambda: authors(torch.bfloat16),
            "mamba_ssm, fp32": lambda: authors(torch.float32),
            "mamba_ssm, bf16, with our layout": lambda: authors(torch.bfloat16, channels_first=False),
        },
        kept=frozenset({2, 5, 7}),
    )


def convolution(tokens: int, channels: int) -> Operation:
    """The causal convolution of one layer, with a kernel width of 4, and its activation."""
    taps = 4

    def inputs(rows: int) -> list[Tensor]:
        return _random((rows, tokens, channels), (channels, taps), (channels,))

    def reference(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padded = F.pad(x.transpose(1, 2), (taps - 1, 0))
        return F.silu(F.conv1d(padded, weight[:, None], bias, groups=len(weight))).transpose(1, 2)

    def ours() -> Contender:
        def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            return F.silu(shifted_products(x, weight, bias)).to(x.dtype)

        return Contender(torch.compile(convolve))

    def package() -> Contender:
        from causal_conv1d import causal_conv1d_fn

        def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
            y: Tensor = causal_conv1d_fn(x.transpose(1, 2), weight, bias, activation="silu")
            return y.transpose(1, 2)

        return Contender(convolve)

    return Operation(
        "convolution",
        inputs,
        reference,
        {"ours, bf16": ours, "causal_conv1d, bf16": package},
        kept=frozenset({1, 2}),
    )


def window_attention(tokens: int) -> Operation:
    """Attention with eight heads of size 64; head h attends to the last h + 1 keys."""
    heads = torch.arange(_HEADS, device="cuda")[:, None, None]

    def ours() -> Contender:
        from synthetic_training.models.kernels.window_attention import window_attention

        return Contender(lambda q, k, v: window_attention(q, k, v, _WIDTH**-0.5))

    return _windows("window attention", tokens, heads, {"ours, bf16": ours})


def sliding_window(tokens: int) -> Operation:
    """Attention with eight heads of size 64 to the last 8 keys, which FlashAttention can compute too."""
    last = _HEADS - 1

    def flash() -> Contender:
        def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
            states = (v.transpose(1, 2) for v in (query, key, value))
            sizes = (None, None, tokens, tokens, 0.0, True, False)
            output: Tensor = torch.ops.aten._flash_attention_forward(
                *states, *sizes, window_size_left=last, window_size_right=0
            )[0]
            return output.transpose(1, 2)

        return Contender(attend)

    return _windows("window attention, 8 keys", tokens, torch.tensor(last), {"FlashAttention, bf16": flash})


def _windows(
    name: str, tokens: int, earlier: Tensor, others: dict[str, Callable[[], Contender]]
) -> Operation:
    """Causal attention of each head to the current key and ``earlier`` keys before it."""
    earlier = earlier.to("cuda").expand(_HEADS, 1, 1)
    position = torch.arange(tokens, device="cuda")
    distance = position[:, None] - position[None, :]
    mask = (distance >= 0) & (distance <= earlier)

    def inputs(rows: int) -> list[Tensor]:
        return _random(*[(rows, _HEADS, tokens, _WIDTH)] * 3)

    def masked(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, mask)

    def flex() -> Contender:
        from torch.nn.attention.flex_attention import create_block_mask, flex_attention

        def seen(_batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return (query >= key) & (query - key <= earlier[head, 0, 0])

        blocks = create_block_mask(seen, None, _HEADS, tokens, tokens, device="cuda")
        compiled = torch.compile(flex_attention)
        return Contender(lambda q, k, v: compiled(q, k, v, block_mask=blocks))

    masks = {"scaled_dot_product_attention with a mask, bf16": lambda: Contender(masked)}
    return Operation(name, inputs, masked, {**others, "flex_attention, bf16": flex, **masks})
