"""The convolution of a Mamba layer, held against torch's in float64; with the package's kernels on a GPU."""

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from synthetic_training.models.kernels import causal_convolution as module
from synthetic_training.models.kernels.causal_convolution import causal_convolution, shifted_products


def inputs_of(
    shape: tuple[int, int, int], taps: int, dtype: torch.dtype, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """x is the first half of a projection, and is strided as there."""
    torch.manual_seed(0)
    batch, length, channels = shape
    joined = torch.randn(batch, length, 2 * channels, device=device, dtype=dtype)
    weight, bias = torch.randn(channels, taps, device=device), torch.randn(channels, device=device)
    return (
        joined.requires_grad_()[..., :channels],
        weight.requires_grad_(),
        bias.requires_grad_(),
    )


def definition(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    length, (channels, taps) = x.shape[1], weight.shape
    padded = F.pad(x.transpose(1, 2), (taps - 1, 0))
    return F.silu(F.conv1d(padded, weight[:, None], bias, groups=channels)).transpose(1, 2)[:, :length]


def holds(
    x: Tensor, weight: Tensor, bias: Tensor | None, bound: float, function: Any = causal_convolution
) -> None:
    given = [v for v in (x, weight, bias) if v is not None]
    exact = [v.detach().double().requires_grad_() for v in given]
    expected = definition(*exact, *([None] if bias is None else []))
    got = function(x, weight, bias)
    assert got.dtype == x.dtype
    assert (got - expected).norm() <= bound * expected.norm()
    weights = torch.randn_like(got)
    gradients = torch.autograd.grad(expected, exact, weights.double())
    for one, got_one in zip(gradients, torch.autograd.grad(got, given, weights), strict=True):
        assert (got_one - one).norm() <= bound * one.norm()


@pytest.mark.parametrize("shape", [(1, 1, 8), (2, 9, 16)])
@pytest.mark.parametrize("taps", [1, 3, 4])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_equals_torch(shape: tuple[int, int, int], taps: int, dtype: torch.dtype, bound: float) -> None:
    x, weight, bias = inputs_of(shape, taps, dtype, "cpu")
    holds(x, weight, bias, bound)
    holds(x, weight, None, bound)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions with the arguments and layouts of the package's, in plain torch."""

    def forward(x: Tensor, weight: Tensor, bias: Tensor, *_: Any) -> Tensor:
        assert x.stride(1) == 1, "channels last"
        return torch.empty_like(x).copy_(F.silu(convolved(x, weight, bias)))

    def backward(x: Tensor, weight: Tensor, bias: Tensor, dy: Tensor, *_: Any) -> tuple[Any, ...]:
        assert dy.stride(1) == 1
        y, (taps, length) = convolved(x, weight, bias), (weight.shape[1], x.shape[2])
        gate = y.sigmoid()
        dy = dy.float() * gate * (1 + y * (1 - gate))
        later, earlier = F.pad(dy, (0, taps - 1)), F.pad(x.float(), (taps - 1, 0))
        shifts = [(taps - 1 - k, k) for k in range(taps)]
        dx = sum(later[..., after : after + length] * weight[:, k, None] for after, k in shifts)
        dweight = [(earlier[..., k : k + length] * dy).sum((0, 2)) for _, k in shifts]
        return torch.empty_like(x).copy_(dx), torch.stack(dweight, 1), dy.sum((0, 2)), None

    def convolved(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padded = F.pad(x.float(), (weight.shape[1] - 1, 0))
        return F.conv1d(padded, weight[:, None], bias, groups=len(weight))

    functions = ModuleType("causal_conv1d.cpp_functions")
    functions.causal_conv1d_fwd_function = forward
    functions.causal_conv1d_bwd_function = backward
    monkeypatch.setitem(sys.modules, "causal_conv1d", ModuleType("causal_conv1d"))
    monkeypatch.setitem(sys.modules, "causal_conv1d.cpp_functions", functions)


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
def test_operations_around_the_package(dtype: torch.dtype, bound: float) -> None:
    """Layouts and gradients, also when compiled into one graph."""
    x, weight, bias = inputs_of((2, 9, 16), 4, dtype, "cpu")
    holds(x, weight, bias, bound, module._by_package)
    holds(x, weight, None, bound, module._by_package)
    holds(x, weight, bias, bound, torch.compile(module._by_package, fullgraph=True, backend="aot_eager"))


class TestPackage:
    pytestmark = pytest.mark.gpu

    @pytest.mark.parametrize("shape", [(1, 1, 8), (2, 220, 256), (3, 1000, 64)])
    @pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
    def test_equals_torch(
        self, shape: tuple[int, int, int], dtype: torch.dtype, bound: float, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its kernels are called, and give the same output and gradients."""
        package = pytest.importorskip("causal_conv1d.cpp_functions", exc_type=ImportError)
        name, calls = "causal_conv1d_fwd_function", []
        function = getattr(package, name)
        monkeypatch.setattr(package, name, lambda *a: calls.append(1) or function(*a))
        x, weight, bias = inputs_of(shape, 4, dtype, "cuda")
        holds(x, weight, bias, bound)
        holds(x, weight, None, bound)
        assert len(calls) == 2

    @pytest.mark.parametrize(
        ("channels", "taps"), [pytest.param(12, 4, id="channels"), pytest.param(16, 5, id="taps")]
    )
    def test_other_shapes_need_no_package(self, channels: int, taps: int) -> None:
        holds(*inputs_of((2, 9, channels), taps, torch.float32, "cuda"), 1e-5)

    def test_compiled_whole_under_autocast(self) -> None:
        """As in a training step: one graph, in bfloat16, with weights in float32."""
        pytest.importorskip("causal_conv1d", exc_type=ImportError)
        x, weight, bias = inputs_of((2, 50, 64), 4, torch.bfloat16, "cuda")
        compiled = torch.compile(causal_convolution, fullgraph=True)
        with torch.autocast("cuda", torch.bfloat16):
            holds(x, weight, bias, 1e-2, compiled)


def test_bfloat16_is_computed_in_float32() -> None:
    draw = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(*shape, generator=draw) for shape in ((2, 6, 3), (3, 4), (3,)))
    x = x.bfloat16()
    assert shifted_products(x, weight, bias).equal(shifted_products(x.float(), weight, bias))
