"""GPT-NeoX with ALiBi or Hard-ALiBi instead of rotary positions (arXiv 2402.01032, section 3).

The blocks are those of transformers, with attention that depends on the distance of two positions:

* ALiBi (arXiv 2108.12409): head h = 1..H adds -2^(-8h/H) (query - key) to its scores;
* Hard-ALiBi: of the first M heads, head h = 0..M-1 sees only the keys query-h .. query. With
  ``log_length_scaling``, the scores of the other heads are multiplied by the logarithm of the number of keys
  that they see, so that attention stays as sharp among more keys.

A scheme is a function of the head and the two positions. Each scheme has several equivalent implementations,
selected by ``attn_implementation``, where SCHEME is ``alibi`` or ``hard_alibi``:

============================  ======================================================================
``SCHEME_sdpa``               the default: a mask of (1 or B, H, Q, K) for PyTorch's attention
``SCHEME_eager``              the same mask with plain matrix products, which gives attention weights
``alibi_fold``                no mask tensor: the bias becomes three more dimensions of the keys
``hard_alibi_split``          no mask tensor: spans of M keys for M heads, causal attention for the rest
============================  ======================================================================

Implementations without a mask tensor handle calls without padding, cache or position ids, as in training; all
other calls use the mask.

Shapes: B batch, H heads, M masked heads, Q queries, K keys, L tokens, D dimensions of a head.

Length: a saved checkpoint contains its model's code as this single file, which therefore contains everything
and imports only torch and transformers.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface, GPTNeoXConfig, GPTNeoXForCausalLM
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask
from transformers.models.gpt_neox.modeling_gpt_neox import eager_attention_forward


def alibi_bias(head: Tensor, query: Tensor, key: Tensor, num_heads: int) -> Tensor:
    """ALiBi's bias of the score of a query and a key at these positions, ``head`` from 0; broadcasts."""
    return torch.exp2((head + 1) * (-8 / num_heads)) * (key - query)


def hard_alibi_sees(head: Tensor, query: Tensor, key: Tensor, num_masked_heads: int) -> Tensor:
    """Whether a head of Hard-ALiBi sees a key that is not after the query; broadcasts."""
    return (head >= num_masked_heads) | (query - key <= head)


class _NoRotaryConfig(GPTNeoXConfig):
    def __post_init__(self, **kwargs: Any) -> None:
        given = getattr(self, "rope_parameters", None) or {}
        if given.get("partial_rotary_factor"):
            raise ValueError(f"{self.model_type} has no rotary positions: omit rope_parameters")
        self.rope_parameters = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.0}
        super().__post_init__(**kwargs)


class AlibiConfig(_NoRotaryConfig):
    """A GPTNeoXConfig with ALiBi positions."""

    model_type = "gpt_neox_alibi"


class HardAlibiConfig(_NoRotaryConfig):
    """A GPTNeoXConfig whose first ``num_masked_heads`` heads attend only to the last few keys.

    With ``log_length_scaling``, the scores of the other heads grow with the logarithm of the number of keys.
    """

    model_type = "gpt_neox_hard_alibi"

    num_masked_heads: int = 8
    log_length_scaling: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        masked, heads = self.num_masked_heads, self.num_attention_heads
        if not isinstance(masked, int) or isinstance(masked, bool) or masked < 0:
            raise ValueError(f"num_masked_heads must be an integer of at least 0, not {masked!r}")
        if masked > heads:
            raise ValueError(f"num_masked_heads must be at most num_attention_heads = {heads}, not {masked}")
        if not isinstance(self.log_length_scaling, bool):
            raise ValueError(f"log_length_scaling must be true or false, not {self.log_length_scaling!r}")


KEYS_WITHOUT_SCALING = 64
"""Number of keys for which ``log_length_scaling`` leaves the scores as they are."""


def _visible(arguments: dict[str, Any], num_heads: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The keys that padding, packing and causality allow, (1 or B, 1, Q, K), with head, query and key."""
    if arguments.get("attention_mask") is None and arguments["mask_function"] is causal_mask_function:
        arguments["batch_size"] = 1
    arguments["allow_is_causal_skip"] = False
    device = arguments["device"]
    head = torch.arange(num_heads, device=device)[:, None, None]
    query = torch.arange(arguments["q_length"], device=device)[:, None] + arguments["q_offset"]
    key = torch.arange(arguments["kv_length"], device=device) + arguments["kv_offset"]
    return sdpa_mask(**arguments), head, query, key


def _lowest(dtype: torch.dtype) -> float:
    """A score whose softmax weight is 0; it is finite even if autocast converts float32 to bfloat16."""
    return max(torch.finfo(dtype).min, -3e38)


def _alibi_mask(*, config: AlibiConfig, dtype: torch.dtype = torch.float32, **arguments: Any) -> Tensor:
    """ALiBi's additive mask, (1 or B, H, Q, K); the arguments are those of transformers' ``sdpa_mask``."""
    visible, head, query, key = _visible(arguments, config.num_attention_heads)
    exact = torch.promote_types(dtype, torch.float32)
    bias = alibi_bias(head.to(exact), query, key, config.num_attention_heads)
    return bias.to(dtype).masked_fill(~visible, _lowest(dtype))


def _hard_alibi_mask(*, config: HardAlibiConfig, **arguments: Any) -> Tensor:
    """Hard-ALiBi's boolean mask, (1 or B, H, Q, K); the arguments are those of ``sdpa_mask``."""
    arguments.pop("dtype", None)
    visible, head, query, key = _visible(arguments, config.num_attention_heads)
    return visible & hard_alibi_sees(head, query, key, config.num_masked_heads)


def _hard_alibi_additive_mask(
    *, config: HardAlibiConfig, dtype: torch.dtype = torch.float32, **arguments: Any
) -> Tensor:
    visible = _hard_alibi_mask(config=config, **arguments)
    return torch.zeros((), dtype=dtype, device=visible.device).masked_fill(~visible, _lowest(dtype))


def _scaled(config: GPTNeoXConfig, query: Tensor, visible: Tensor) -> Tensor:
    """Queries, scaled by ``log_length_scaling`` in the heads that see all keys, (B, H, Q, D).

    Args:
        config: the model's configuration.
        query: (B, H, Q, D).
        visible: number of keys that such a head sees, (1 or B, 1, Q).
    """
    if not getattr(config, "log_length_scaling", False):
        return query
    head = torch.arange(query.shape[1], device=query.device)[:, None]
    scale = torch.log1p(visible.float()) / math.log1p(KEYS_WITHOUT_SCALING)
    scale = torch.where(head < config.num_masked_heads, 1.0, scale)
    return query * scale[..., None].to(query.dtype)


def _with_scaling(attend: Callable[..., Any]) -> Callable[..., Any]:
    """An attention function of transformers with ``_scaled`` queries; masks are boolean or additive."""

    def attention(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **kwargs: Any
    ) -> Any:
        if getattr(module.config, "log_length_scaling", False):
            seen = attention_mask if attention_mask.dtype == torch.bool else attention_mask >= 0
            query = _scaled(module.config, query, seen[:, -1:].sum(-1))
        return attend(module, query, key, value, attention_mask, **kwargs)

    return attention


def _unless_masked(attend: Callable[..., Tensor]) -> Callable[..., tuple[Tensor, None]]:
    """An attention function of transformers that uses the mask tensor if there is one, otherwise ``attend``.

    ``attend`` takes the configuration, queries, keys and values (B, H, L, D), the placeholder of the mask,
    scaling and dropout. It returns (B, H, L, D).
    """

    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor,
        scaling: float,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> tuple[Tensor, None]:
        if attention_mask.shape[-1]:
            return _with_scaling(sdpa_attention_forward)(
                module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
            )
        output = attend(module.config, query, key, value, attention_mask, scaling, dropout)
        return output.transpose(1, 2), None

    return attention


def _fold(
    config: AlibiConfig, query: Tensor, key: Tensor, value: Tensor, _: Tensor, scaling: float, dropout: float
) -> Tensor:
    """ALiBi as plain causal attention: softmax ignores -m query, and m key becomes three more dimensions.

    Three are needed because a 16-bit number is too coarse for m key, but the sum of three such numbers
    represents the 24 bits of float32. Flash kernels require multiples of 8, so 8 dimensions are added.
    """
    batch, _heads, length, width = key.shape
    exact = torch.promote_types(key.dtype, torch.float32)
    head = torch.arange(config.num_attention_heads, device=key.device, dtype=exact)[:, None]
    position = torch.arange(length, device=key.device)
    rest = alibi_bias(head, torch.zeros_like(position), position, config.num_attention_heads) / scaling
    parts = []
    for _part in range(3):
        parts.append(rest.to(key.dtype))
        rest = rest - parts[-1].to(exact)
    bias = functional.pad(torch.stack(parts, dim=-1), (0, 5)).expand(batch, -1, -1, -1)
    output = functional.scaled_dot_product_attention(
        torch.cat([query, torch.ones_like(bias)], dim=-1),
        torch.cat([key, bias], dim=-1),
        functional.pad(value, (0, 8)),
        dropout_p=dropout,
        is_causal=True,
        scale=scaling,
    )
    return output[..., :width]


fast_attend_to_last: Callable[[Tensor, Tensor, Tensor, float], Tensor] | None = None
"""Kernel that replaces ``_attend_to_last`` on CUDA without dropout, for dtypes of up to 32 bits; set from
outside, because this file contains no kernels."""


def _split(
    config: HardAlibiConfig,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _: Tensor,
    scaling: float,
    dropout: float,
) -> Tensor:
    """Hard-ALiBi in two parts: masked heads over their few keys, and causal attention for the other heads."""
    masked = config.num_masked_heads
    query = _scaled(config, query, torch.arange(1, query.shape[2] + 1, device=query.device)[None, None])
    near, far = [
        (query[:, part], key[:, part], value[:, part]) for part in (slice(masked), slice(masked, None))
    ]
    outputs = []
    if masked and fast_attend_to_last and value.is_cuda and not dropout and value.dtype != torch.float64:
        outputs.append(fast_attend_to_last(*near, scaling))
    elif masked:
        outputs.append(_attend_to_last(*near, scaling, dropout))
    if masked < query.shape[1]:
        outputs.append(
            functional.scaled_dot_product_attention(*far, dropout_p=dropout, is_causal=True, scale=scaling)
        )
    # in the memory order of the next layer's input
    return torch.cat([output.transpose(1, 2) for output in outputs], dim=2).transpose(1, 2)


def _attend_to_last(query: Tensor, key: Tensor, value: Tensor, scaling: float, dropout: float) -> Tensor:
    """Head h attends to the last h + 1 keys; all arguments and the result are (B, M, L, D)."""
    _, heads, length, _ = key.shape
    exact = torch.promote_types(key.dtype, torch.float32)
    head = torch.arange(heads, device=key.device)[:, None]
    position = torch.arange(length, device=key.device)
    scores = []
    for distance in range(heads):
        score = (query.to(exact) * _earlier(key, distance).to(exact)).sum(dim=-1) * scaling
        sees = hard_alibi_sees(head, position, position - distance, heads) & (position >= distance)
        scores.append(score.masked_fill(~sees, float("-inf")))
    weights = functional.dropout(torch.stack(scores, dim=-1).softmax(dim=-1), p=dropout)
    output = torch.zeros_like(query, dtype=exact)
    for distance in range(heads):
        output = output + weights[..., distance, None] * _earlier(value, distance).to(exact)
    return output.to(value.dtype)


def _earlier(states: Tensor, distance: int) -> Tensor:
    """At each position, the state at this distance before it, or zeros; (B, M, L, D)."""
    return functional.pad(states, (0, 0, distance, 0))[:, :, : states.shape[2]]


class _SchemeForCausalLM(GPTNeoXForCausalLM):
    """The common part of both schemes: implementations by name, and the mask of calls without padding."""

    scheme: str
    without_mask_tensor: str
    _supports_flash_attn = False

    def get_correct_attn_implementation(
        self, requested_attention: str | None, is_init_check: bool = False
    ) -> str:
        """The scheme's implementation for a general name such as ``sdpa``, which would ignore the scheme."""
        requested = requested_attention or "sdpa"
        own = [f"{self.scheme}_{kind}" for kind in ("sdpa", "eager", self.without_mask_tensor)]
        if requested not in own:
            requested = f"{self.scheme}_{requested}"
        if requested not in own:
            raise ValueError(
                f"attn_implementation of {self.config.model_type} must be one of {', '.join(own)}, "
                f"not {requested_attention!r}"
            )
        return super().get_correct_attn_implementation(requested, is_init_check)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Any:
        """See GPTNeoXForCausalLM.

        Without mask, position ids and cache, the mask is created here for a batch of one: under
        ``torch.compile``, transformers cannot see that nothing is packed and would create a larger mask.
        """
        mask: Any = attention_mask
        tokens = inputs_embeds if input_ids is None else input_ids
        # transformers passes ``cache`` from 5.24 on, and then warns of the other name
        given = {"past_key_values": past_key_values, "cache": cache}
        kwargs |= {key: value for key, value in given.items() if value is not None}
        past = past_key_values if cache is None else cache
        if mask is None and position_ids is None and past is None and tokens is not None:
            mask = self._mask_without_padding(tokens.shape[1], tokens.device)
        elif mask is not None and mask.dim() == 4 and mask.shape[1] != self.config.num_attention_heads:
            raise ValueError("a mask of four dimensions must be the scheme's own mask for all heads")
        return super().forward(
            input_ids=input_ids,
            attention_mask=mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def _mask_without_padding(self, length: int, device: torch.device) -> Tensor:
        implementation = self.config._attn_implementation
        if implementation == f"{self.scheme}_{self.without_mask_tensor}":
            return torch.empty(1, 1, 0, 0, device=device)
        _, make_mask = _IMPLEMENTATIONS[implementation]
        return make_mask(
            batch_size=1,
            q_length=length,
            kv_length=length,
            q_offset=0,
            kv_offset=0,
            mask_function=causal_mask_function,
            attention_mask=None,
            config=self.config,
            dtype=self.dtype,
            device=device,
        )


class AlibiForCausalLM(_SchemeForCausalLM):
    """GPT-NeoX with ALiBi: ``T_alibi``."""

    config_class = AlibiConfig
    scheme = "alibi"
    without_mask_tensor = "fold"


class HardAlibiForCausalLM(_SchemeForCausalLM):
    """GPT-NeoX with Hard-ALiBi: ``T_hard_alibi``."""

    config_class = HardAlibiConfig
    scheme = "hard_alibi"
    without_mask_tensor = "split"


_IMPLEMENTATIONS = {
    "alibi_sdpa": (sdpa_attention_forward, _alibi_mask),
    "alibi_eager": (eager_attention_forward, _alibi_mask),
    "alibi_fold": (_unless_masked(_fold), _alibi_mask),
    "hard_alibi_sdpa": (_with_scaling(sdpa_attention_forward), _hard_alibi_mask),
    "hard_alibi_eager": (_with_scaling(eager_attention_forward), _hard_alibi_additive_mask),
    "hard_alibi_split": (_unless_masked(_split), _hard_alibi_mask),
}

for _name, (_attention, _mask) in _IMPLEMENTATIONS.items():
    AttentionInterface.register(_name, _attention)
    AttentionMaskInterface.register(_name, _mask)

for _config in (AlibiConfig, HardAlibiConfig):
    _config.register_for_auto_class()
for _model in (AlibiForCausalLM, HardAlibiForCausalLM):
    _model.register_for_auto_class("AutoModelForCausalLM")
