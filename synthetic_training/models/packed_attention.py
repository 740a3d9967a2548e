"""PyTorch attention for flash-linear-attention's hybrid models, for use without the package flash-attn.

These models call two functions of flash-attn, which has to be built for each version of PyTorch. The
functions in this file take the same arguments. It is copied into the folders of saved models that need it.
"""

import importlib
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Window = tuple[int, int]

_LAYERS = "fla.layers.attn"


def supply_attention() -> None:
    """Let flash-linear-attention's attention layers use this file's functions if flash-attn is missing."""
    layers: Any = importlib.import_module(_LAYERS)
    if layers.flash_attn_func is None:
        layers.flash_attn_func = flash_attn_func
        layers.flash_attn_varlen_func = flash_attn_varlen_func


def flash_attn_func(
    q: Tensor, k: Tensor, v: Tensor, *, causal: bool, window_size: Window = (-1, -1)
) -> Tensor:
    """Attention of queries (batch, queries, heads, width) to keys and values (batch, keys, key heads, width).

    The output has the shape of the queries.

    The last query is aligned with the last key. A query sees at most ``window_size[0]`` keys before its own;
    -1 means all.
    """
    queries, keys = q.shape[1], k.shape[1]
    q, k, v = (one.transpose(1, 2) for one in (q, k, v))
    grouped = q.shape[1] != k.shape[1]
    if causal and queries == keys and window_size[0] < 0:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped).transpose(1, 2)
    seen = _seen(queries, keys, causal, window_size, q.device)
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=grouped).transpose(1, 2)


def flash_attn_varlen_func(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    cu_seqlens_q: Tensor,
    cu_seqlens_k: Tensor,
    max_seqlen_q: int,  # noqa: ARG001  flash-attn needs it
    max_seqlen_k: int,  # noqa: ARG001  the same
    causal: bool,
    window_size: Window = (-1, -1),
) -> Tensor:
    """``flash_attn_func`` for concatenated sequences, (all queries, heads, width), with their boundaries."""
    limits = zip(
        cu_seqlens_q.tolist(), cu_seqlens_q.tolist()[1:], cu_seqlens_k.tolist(), cu_seqlens_k.tolist()[1:],
        strict=False,
    )  # fmt: skip
    parts = [
        flash_attn_func(q[None, a:b], k[None, c:d], v[None, c:d], causal=causal, window_size=window_size)[0]
        for a, b, c, d in limits
    ]
    return torch.cat(parts)


def _seen(queries: int, keys: int, causal: bool, window_size: Window, device: torch.device) -> Tensor:
    own = torch.arange(keys - queries, keys, device=device)[:, None]
    key = torch.arange(keys, device=device)
    seen = torch.ones(queries, keys, dtype=torch.bool, device=device)
    if causal:
        seen &= key <= own
    elif window_size[1] >= 0:
        seen &= key <= own + window_size[1]
    if window_size[0] >= 0:
        seen &= key >= own - window_size[0]
    return seen
