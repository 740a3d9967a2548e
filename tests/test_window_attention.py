"""The Triton kernels of windowed attention, compared with loops in float64.

The same tests run on a CUDA device and, on small shapes, in Triton's interpreter: see ``triton_interpreter``.
"""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="the kernels need triton")

from tests.triton_interpreter import DEVICE, INTERPRETED, on_device


def by_loops(query: Tensor, key: Tensor, value: Tensor, scaling: float) -> Tensor:
    """The definition."""
    batch, heads, length, _ = query.shape
    rows = []
    for b in range(batch):
        for h in range(heads):
            for i in range(length):
                window = slice(max(0, i - h), i + 1)
                weights = (key[b, h, window] @ query[b, h, i] * scaling).softmax(dim=0)
                rows.append(weights @ value[b, h, window])
    return torch.stack(rows).view(query.shape)


def fused(
    batch: int, heads: int, length: int, width: int, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values (B, M, L, D), sliced from one projection with more heads."""
    generator = torch.Generator().manual_seed(heads * length + width)
    qkv = torch.randn(batch, length, (heads + 1) * 3 * width, generator=generator).to(DEVICE, dtype)
    parts = qkv.view(batch, length, heads + 1, 3 * width).transpose(1, 2).chunk(3, dim=-1)
    query, key, value = (part[:, :heads].detach().requires_grad_() for part in parts)
    return query, key, value


def assert_by_definition(inputs: tuple[Tensor, Tensor, Tensor], scaling: float) -> None:
    """Check output and gradients; the bound for bfloat16 is two rounding errors."""
    from synthetic_training.models.kernels.window_attention import window_attention

    exact = [v.detach().double().cpu().requires_grad_() for v in inputs]
    expected = by_loops(exact[0], exact[1], exact[2], scaling)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(expected.shape, generator=generator).to(inputs[2].dtype)
    gradients = torch.autograd.grad(expected, exact, weights.double())
    got = window_attention(*inputs, scaling)
    assert got.dtype == inputs[2].dtype and got.transpose(1, 2).is_contiguous()
    got_gradients = torch.autograd.grad(got, inputs, weights.to(DEVICE))
    close = 8e-3 if inputs[2].dtype == torch.bfloat16 else 5e-5
    for one, other in zip((got, *got_gradients), (expected, *gradients), strict=True):
        torch.testing.assert_close(one.double().cpu(), other, atol=close, rtol=close)
    for gradient, v in zip(got_gradients, inputs, strict=True):
        assert gradient.dtype == v.dtype


SHAPES = [(1, 1, 1, 8), (2, 4, 2, 4), (1, 3, 34, 20)]
if not INTERPRETED:
    SHAPES += [(2, 4, 1, 8), (1, 16, 5, 24), (1, 8, 65, 64), (3, 8, 220, 64), (1, 16, 300, 128)]


@on_device
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", SHAPES)
def test_equals_the_definition(shape: tuple[int, int, int, int], dtype: torch.dtype) -> None:
    assert_by_definition(fused(*shape, dtype), shape[-1] ** -0.5)


@on_device
def test_large_scores() -> None:
    """The exponentials of the scores would overflow."""
    query, key, value = fused(1, 3, 9, 16)
    assert_by_definition((query * 30, key * 30, value), 1.0)


@on_device
def test_queries_and_keys_of_another_type() -> None:
    """Autocast leaves them in float32, with values in bfloat16."""
    query, key, value = fused(1, 3, 9, 16, torch.bfloat16)
    assert_by_definition((query.float(), key.float(), value), 0.25)


@on_device
def test_any_strides() -> None:
    """Strides of the inputs, and of a gradient that is one expanded number."""
    from synthetic_training.models.kernels.window_attention import window_attention

    plain = [v.detach().contiguous().requires_grad_() for v in fused(2, 3, 9, 16)]
    orders = ((3, 0, 2, 1), (2, 3, 1, 0), (0, 3, 1, 2))
    strided = [
        v.detach().permute(order).contiguous().permute([order.index(i) for i in range(4)]).requires_grad_()
        for v, order in zip(plain, orders, strict=True)
    ]
    assert not any(v.is_contiguous() for v in strided)
    expected = window_attention(plain[0], plain[1], plain[2], 0.25)
    got = window_attention(strided[0], strided[1], strided[2], 0.25)
    torch.testing.assert_close(got, expected)
    gradients = torch.autograd.grad(expected, plain, torch.ones_like(expected))
    for one, other in zip(torch.autograd.grad(got.sum(), strided), gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.gpu
def test_equals_plain_torch() -> None:
    from synthetic_training.models.kernels.window_attention import window_attention
    from synthetic_training.models.modeling_alibi import _attend_to_last

    inputs = fused(2, 5, 12, 16)
    torch.testing.assert_close(window_attention(*inputs, 0.25), _attend_to_last(*inputs, 0.25, 0.0))


@on_device
def test_is_a_well_formed_operation() -> None:
    """The schema, shapes without data, and gradients under tracing."""
    import synthetic_training.models.kernels.window_attention  # noqa: F401  makes the operation known

    operation = torch.ops.repeat_after_me.window_attention.default
    torch.library.opcheck(operation, (*fused(1, 2, 5, 8), 0.5))


@on_device
def test_compiled_whole() -> None:
    """One graph, forward and backward, with bitwise the same results as without compilation."""
    from synthetic_training.models.kernels.window_attention import window_attention

    inputs = fused(1, 3, 7, 8)
    plain = window_attention(*inputs, 0.5)
    weights = torch.ones_like(plain)
    compiled = torch.compile(window_attention, fullgraph=True, backend="aot_eager")(*inputs, 0.5)
    assert torch.equal(compiled, plain)
    expected = torch.autograd.grad(plain, inputs, weights)
    for got, one in zip(torch.autograd.grad(compiled, inputs, weights), expected, strict=True):
        assert torch.equal(got, one)


@pytest.mark.gpu
def test_replayed_as_a_cuda_graph() -> None:
    from synthetic_training.models.kernels.window_attention import window_attention

    inputs = fused(2, 8, 50, 64, torch.bfloat16)
    expected = [v.clone() for v in torch.autograd.grad(window_attention(*inputs, 0.125).sum(), inputs)]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradients = torch.autograd.grad(window_attention(*inputs, 0.125).sum(), inputs)
    for gradient in gradients:
        gradient.zero_()
    graph.replay()
    for got, one in zip(gradients, expected, strict=True):
        assert torch.equal(got, one)


@pytest.mark.gpu
def test_a_layer_uses_it() -> None:
    """``hard_alibi_split`` with the kernels equals masks, also compiled in one graph, with gradients."""
    from synthetic_training.models.alibi import use_fast_attention
    from synthetic_training.models.modeling_alibi import HardAlibiForCausalLM
    from synthetic_training.models.registry import build_model

    torch.manual_seed(0)
    sizes = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 6, "num_masked_heads": 4}
    model = build_model("T_hard_alibi", **sizes, attn_implementation="hard_alibi_sdpa").cuda()
    assert isinstance(model, HardAlibiForCausalLM)
    ids = torch.randint(0, 30, (3, 50), device="cuda")
    expected = model(ids, use_cache=False).logits
    gradients = torch.autograd.grad(expected.square().sum(), list(model.parameters()))
    use_fast_attention(model)
    seen = []

    def as_it_is(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> Callable[..., Any]:
        seen.append(graph.code)
        return graph

    compiled = torch.compile(model, fullgraph=True, backend=as_it_is)
    got = compiled(ids, use_cache=False).logits
    assert "repeat_after_me.window_attention" in seen[0]
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    for one, other in zip(
        torch.autograd.grad(got.square().sum(), list(model.parameters())), gradients, strict=True
    ):
        assert (one - other).norm() <= 1e-3 * other.norm() + 1e-6
