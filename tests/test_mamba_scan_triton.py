"""The Triton kernels of the scan, compared with the definition in float64.

The same tests run on a CUDA device and, on small shapes, in Triton's interpreter: see ``triton_interpreter``.
"""

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="the kernels need triton")

from synthetic_training.models.kernels.mamba_scan import selective_scan_reference
from tests.scan_inputs import scan_inputs
from tests.triton_interpreter import DEVICE, INTERPRETED, on_device


def inputs_of(shape: tuple[int, int, int, int], dtype: torch.dtype) -> list[Tensor]:
    """Like ``scan_inputs``, with the strides of slices of a layer's projection."""
    x, dt, a, b, c, skip, z, bias = (v.detach().to(DEVICE) for v in scan_inputs(*shape, torch.float32))
    states = b.shape[-1]
    z = torch.cat([x, z], dim=-1).to(dtype)[..., x.shape[-1] :]
    joined = torch.cat([b, c], dim=-1).to(dtype)
    b, c = joined[..., :states], joined[..., states:]
    return [v.detach().requires_grad_() for v in (x.to(dtype), dt.to(dtype), a, b, c, skip, z, bias)]


SHAPES = [(1, 1, 16, 3), (2, 9, 20, 16)]
if not INTERPRETED:
    SHAPES += [
        (1, 1, 16, 2),
        (2, 9, 40, 20),
        (1, 8, 40, 4),
        (1, 9, 40, 64),
        (2, 220, 256, 32),
        (3, 1000, 64, 16),
        (1, 16, 2048, 32),
    ]


@on_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_definition(shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    """Output and all gradients; the bound for bfloat16 is a few rounding errors."""
    from synthetic_training.models.kernels.mamba_scan_triton import selective_scan

    inputs = inputs_of(shape, dtype)
    exact = [v.detach().double().requires_grad_() for v in inputs]
    expected = selective_scan_reference(*exact)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    gradients = torch.autograd.grad(expected, exact, weights.double())
    got = selective_scan(*inputs)
    bound = 1e-4 if dtype == torch.float32 else 2e-2
    assert (got - expected).norm() <= bound * expected.norm()
    names = ("x", "dt", "a", "b", "c", "skip", "z", "bias")
    got_gradients = torch.autograd.grad(got, inputs, weights)
    for name, one, got_one, v in zip(names, gradients, got_gradients, inputs, strict=True):
        assert got_one.dtype == v.dtype and got_one.shape == v.shape
        assert (got_one - one).norm() <= bound * one.norm(), name


@on_device
def test_small_steps_keep_their_digits() -> None:
    """At dt = -12 the step is 6e-6, for which log(1 + exp(dt)) in float32 has only two correct digits."""
    from synthetic_training.models.kernels.mamba_scan_triton import selective_scan

    x, _, a, b, c, skip, z, bias = inputs_of((1, 3, 8, 2), torch.float32)
    dt = torch.full_like(x, -12.0)
    arguments = (x, dt, a, b, c, 0 * skip, z, 0 * bias)
    expected = selective_scan_reference(*[v.double() for v in arguments])
    assert (selective_scan(*arguments) - expected).norm() <= 1e-5 * expected.norm()


@on_device
def test_without_gradients_the_same() -> None:
    from synthetic_training.models.kernels.mamba_scan_triton import selective_scan

    inputs = inputs_of((1, 9, 16, 4), torch.float32)
    with torch.no_grad():
        plain = selective_scan(*inputs)
    assert torch.equal(plain, selective_scan(*inputs))


@on_device
def test_compiled_whole() -> None:
    """One graph, forward and backward, with bitwise the same results as without compilation."""
    from synthetic_training.models.kernels.mamba_scan_triton import selective_scan

    inputs = inputs_of((1, 2, 16, 2), torch.float32)
    plain = selective_scan(*inputs)
    weights = torch.ones_like(plain)
    compiled = torch.compile(selective_scan, fullgraph=True, backend="aot_eager")(*inputs)
    assert torch.equal(compiled, plain)
    expected = torch.autograd.grad(plain, inputs, weights)
    for got, one in zip(torch.autograd.grad(compiled, inputs, weights), expected, strict=True):
        assert torch.equal(got, one)


@pytest.mark.gpu
def test_replayed_as_a_cuda_graph() -> None:
    from synthetic_training.models.kernels.mamba_scan_triton import selective_scan

    inputs = inputs_of((2, 50, 128, 16), torch.bfloat16)
    expected = [v.clone() for v in torch.autograd.grad(selective_scan(*inputs).sum(), inputs)]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradients = torch.autograd.grad(selective_scan(*inputs).sum(), inputs)
    for gradient in gradients:
        gradient.zero_()
    graph.replay()
    for got, one in zip(gradients, expected, strict=True):
        assert torch.equal(got, one)


@pytest.mark.gpu
@pytest.mark.skipif(INTERPRETED or torch.cuda.device_count() < 2, reason="fewer than two CUDA devices")
def test_the_second_gpu_gives_the_results_of_the_first() -> None:
    """Without being the current device."""
    from synthetic_training.models.kernels.mamba_scan_triton import selective_scan

    found = []
    for device in ("cuda:0", "cuda:1"):
        inputs = [v.detach().to(device).requires_grad_() for v in scan_inputs(2, 9, 40, 20, torch.float32)]
        output = selective_scan(*inputs)
        found.append([one.cpu() for one in (output, *torch.autograd.grad(output.sum(), inputs))])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)
