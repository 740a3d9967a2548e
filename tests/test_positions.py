"""Every implementation of ALiBi and Hard-ALiBi, compared with attention in plain loops."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from synthetic_training.models.registry import build_model

Offset = Callable[[int, int], float | None]
"""What is added to the score of a head (from 0) at a distance; None where it does not see that far."""

HEADS = {"alibi": [(1, 0), (4, 0), (6, 0)], "hard_alibi": [(1, 1), (4, 0), (4, 2), (4, 4), (6, 5)]}
KINDS = {"alibi": ("sdpa", "eager", "fold"), "hard_alibi": ("sdpa", "eager", "split")}
CASES = [
    (scheme, kind, heads, masked, dtype)
    for scheme, kinds in KINDS.items()
    for kind in kinds
    for heads, masked in HEADS[scheme]
    for dtype in (torch.float64, torch.float32, torch.bfloat16)
    if (heads, masked) == (4, 2 * (scheme == "hard_alibi")) or dtype is torch.float64
]
GRID = pytest.mark.parametrize(("scheme", "kind", "heads", "masked", "dtype"), CASES)


def tolerance(kind: str, dtype: torch.dtype) -> float:
    """Plain products keep transformers' softmax in float32, and its weights in the model's dtype."""
    return {torch.float64: 1e-6 if kind == "eager" else 1e-12, torch.float32: 5e-6, torch.bfloat16: 5e-2}[
        dtype
    ]


def offset(scheme: str, heads: int, masked: int) -> Offset:
    if scheme == "alibi":
        return lambda head, distance: -(2 ** (-8 * (head + 1) / heads)) * distance
    return lambda head, distance: None if head < masked and distance > head else 0.0


def by_loops(qkv: Tensor, heads: int, added: Offset, real: Tensor) -> Tensor:
    """Attended values (B, L, H x D) of projections (B, L, H x 3D); rows of padding are zeros."""
    batch, length, _ = qkv.shape
    query, key, value = qkv.view(batch, length, heads, -1).chunk(3, dim=-1)
    rows = []
    for b in range(batch):
        for i in range(length):
            for h in range(heads):
                if not real[b, i]:
                    rows.append(torch.zeros_like(query[b, i, h]))
                    continue
                seen = [j for j in range(i + 1) if real[b, j] and added(h, i - j) is not None]
                bias = torch.tensor([added(h, i - j) for j in seen], dtype=qkv.dtype)
                scores = key[b, seen, h] @ query[b, i, h] / query.shape[-1] ** 0.5 + bias
                rows.append(scores.softmax(dim=0) @ value[b, seen, h])
    return torch.stack(rows).view(batch, length, -1)


def one_layer(scheme: str, kind: str, heads: int, masked: int, dtype: torch.dtype) -> Any:
    """A model of one layer, with weights scaled up so that attention is far from uniform."""
    torch.manual_seed(heads + masked)
    sizes = {"hidden_size": 8 * heads, "num_hidden_layers": 1, "num_attention_heads": heads}
    if scheme == "hard_alibi":
        sizes["num_masked_heads"] = masked
    model = build_model(f"T_{scheme}", **sizes, attn_implementation=f"{scheme}_{kind}")
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.data.mul_(20)
    return model.to(dtype).eval()


def attention_of(model: Any, ids: Tensor, **arguments: Any) -> tuple[Tensor, Tensor]:
    """The input (B, L, H x 3D) and the output (B, L, H x D) of the only layer's attention."""
    seen: dict[str, Tensor] = {}
    attention = model.gpt_neox.layers[0].attention
    handles = [
        attention.query_key_value.register_forward_hook(lambda _m, _i, output: seen.update(qkv=output)),
        attention.dense.register_forward_pre_hook(lambda _m, inputs: seen.update(mixed=inputs[0])),
    ]
    model(ids, **arguments)
    for handle in handles:
        handle.remove()
    return seen["qkv"], seen["mixed"]


def left_padding(padding: list[int], length: int) -> Tensor:
    return torch.tensor([[0] * n + [1] * (length - n) for n in padding])


@GRID
@torch.no_grad()
def test_without_padding(scheme: str, kind: str, heads: int, masked: int, dtype: torch.dtype) -> None:
    model = one_layer(scheme, kind, heads, masked, dtype)
    for length in (1, 3, 8):
        ids = torch.randint(0, 30, (2, length))
        qkv, mixed = attention_of(model, ids)
        expected = by_loops(qkv.double(), heads, offset(scheme, heads, masked), torch.ones_like(ids))
        close = tolerance(kind, dtype)
        torch.testing.assert_close(mixed.double(), expected, atol=close, rtol=close)


@GRID
@torch.no_grad()
def test_left_padding(scheme: str, kind: str, heads: int, masked: int, dtype: torch.dtype) -> None:
    model = one_layer(scheme, kind, heads, masked, dtype)
    ids, mask = torch.randint(0, 30, (3, 7)), left_padding([0, 3, 6], 7)
    qkv, mixed = attention_of(model, ids, attention_mask=mask)
    expected = by_loops(qkv.double(), heads, offset(scheme, heads, masked), mask)
    assert mixed.isfinite().all()
    mixed = mixed.double() * mask[..., None]
    close = tolerance(kind, dtype)
    torch.testing.assert_close(mixed, expected, atol=close, rtol=close)


@pytest.mark.parametrize(
    ("scheme", "kind", "heads", "masked"),
    [case[:4] for case in CASES if case[4] is torch.float64],
)
def test_gradients(scheme: str, kind: str, heads: int, masked: int) -> None:
    model = one_layer(scheme, kind, heads, masked, torch.float64)
    qkv, mixed = attention_of(model, torch.randint(0, 30, (2, 7)))
    weight = torch.randn_like(mixed)
    (got,) = torch.autograd.grad((mixed * weight).sum(), qkv)
    leaf = qkv.detach().requires_grad_()
    by_hand = by_loops(leaf, heads, offset(scheme, heads, masked), torch.ones(2, 7))
    (expected,) = torch.autograd.grad((by_hand * weight).sum(), leaf)
    close = 10 * tolerance(kind, torch.float64)
    torch.testing.assert_close(got, expected, atol=close, rtol=close)


@pytest.mark.parametrize(("scheme", "fast"), [("alibi", "fold"), ("hard_alibi", "split")])
@torch.no_grad()
def test_long_contexts_in_bfloat16(scheme: str, fast: str) -> None:
    """At distances of hundreds, a bias in a single 16-bit number would be off by more than 1."""
    model = one_layer(scheme, fast, 4, 2, torch.bfloat16)
    ids = torch.randint(0, 30, (1, 600))
    qkv, mixed = attention_of(model, ids)
    exact = one_layer(scheme, "sdpa", 4, 2, torch.float64)
    exact.gpt_neox.layers[0].attention.query_key_value.register_forward_hook(lambda *_: qkv.double())
    _, expected = attention_of(exact, ids)
    torch.testing.assert_close(mixed.double(), expected, atol=3e-2, rtol=3e-2)


@pytest.mark.parametrize("scheme", ["alibi", "hard_alibi"])
@pytest.mark.parametrize("kind", ["sdpa", "eager", "fast"])
@torch.no_grad()
def test_autocast_gives_finite_numbers_near_float32(scheme: str, kind: str) -> None:
    kind = {"alibi": "fold", "hard_alibi": "split"}[scheme] if kind == "fast" else kind
    model = one_layer(scheme, kind, 4, 2, torch.float32)
    ids, mask = torch.randint(0, 30, (2, 9)), left_padding([0, 4], 9)
    for arguments in ({}, {"attention_mask": mask}):
        _, expected = attention_of(model, ids, **arguments)
        with torch.autocast("cpu", torch.bfloat16):
            _, mixed = attention_of(model, ids, **arguments)
        assert mixed.isfinite().all()
        real = mask[..., None] if arguments else 1
        torch.testing.assert_close(mixed.float() * real, expected * real, atol=5e-2, rtol=5e-2)


@pytest.mark.parametrize("scheme", ["alibi", "hard_alibi"])
def test_general_names_mean_the_schemes_own(scheme: str) -> None:
    model = one_layer(scheme, "sdpa", 4, 2, torch.float32)
    for general, own in (("eager", "eager"), ("sdpa", "sdpa")):
        model.set_attn_implementation(general)
        assert model.config._attn_implementation == f"{scheme}_{own}"
    with pytest.raises(ValueError, match=f"must be one of {scheme}_sdpa, {scheme}_eager"):
        model.set_attn_implementation("flash_attention_2")


def test_a_foreign_mask_is_refused() -> None:
    model = one_layer("alibi", "sdpa", 4, 0, torch.float32)
    with pytest.raises(ValueError, match="the scheme's own"):
        model(torch.zeros(1, 3, dtype=torch.long), attention_mask=torch.zeros(1, 1, 3, 3))


def test_rotary_positions_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError, match="no rotary positions"):
        build_model("T_alibi", rope_parameters={"rope_type": "default", "partial_rotary_factor": 0.25})
