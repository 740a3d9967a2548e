"""Batches, padding, caches, packing and compilation do not change what a named model computes."""

from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from synthetic_training.data.symbol_tokenizer import PAD_ID
from synthetic_training.models.paper_models import MODELS
from tests.tiny_synthetic_models import PROMPTS, TRANSFORMERS, letters, prompts, tiny, without_padding


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {"use_cache": use_cache}) for name in MODELS for use_cache in (True, False)),
        *((name, {"cache_implementation": "static"}) for name in TRANSFORMERS),
    ],
)
@torch.no_grad()
def test_generation_is_the_same_in_a_padded_batch(name: str, options: dict[str, Any]) -> None:
    model = tiny(name)
    model.generation_config.eos_token_id = None
    ids, mask = prompts()
    out = model.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=8,
        do_sample=False,
        output_logits=True,
        return_dict_in_generate=True,
        **options,
    )
    logits = torch.stack(out.logits, dim=1)
    for row, prompt in enumerate(PROMPTS):
        tokens, expected = without_padding(model, prompt, 8)
        assert out.sequences[row, ids.shape[1] :].tolist() == tokens
        scale = expected.abs().max()
        torch.testing.assert_close(logits[row] / scale, expected / scale, atol=5e-6, rtol=0)


@pytest.mark.parametrize("name", ["lstm", *TRANSFORMERS])
@torch.no_grad()
def test_padding_on_either_side_changes_no_logits(name: str) -> None:
    model = tiny(name)
    ids = letters(1, 7)
    expected = model(ids).logits
    for left, right in ((3, 0), (0, 3), (2, 2)):
        padded = torch.nn.functional.pad(ids, (left, right), value=PAD_ID)
        mask = torch.nn.functional.pad(torch.ones_like(ids), (left, right))
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        known = {"position_ids": positions} if name == "T_rope" else {}
        logits = model(padded, attention_mask=mask, **known).logits[:, left : left + 7]
        torch.testing.assert_close(logits, expected, atol=5e-6, rtol=5e-6)


@torch.no_grad()
def test_lstm_goes_on_from_its_state() -> None:
    model = tiny("lstm")
    ids = letters(2, 9)
    first = model(ids[:, :4], use_cache=True)
    second = model(ids[:, 4:], past_key_values=first.past_key_values)
    whole = model(ids, use_cache=False)
    assert whole.past_key_values is None
    torch.testing.assert_close(torch.cat([first.logits, second.logits], 1), whole.logits, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", TRANSFORMERS)
@torch.no_grad()
def test_packed_examples_do_not_see_each_other(name: str) -> None:
    model = tiny(name)
    lengths = (5, 1, 7, 3)
    ids = letters(1, sum(lengths))
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    packed = model(ids, position_ids=positions, use_cache=False).logits
    alone = [model(part).logits for part in ids.split(lengths, dim=1)]
    torch.testing.assert_close(packed, torch.cat(alone, dim=1), atol=5e-6, rtol=5e-6)


COMPILED = [
    ("T_rope", None, "aot_eager"),
    ("T_alibi", "alibi_fold", "aot_eager"),
    ("T_hard_alibi", "hard_alibi_split", "aot_eager"),
    pytest.param("T_nope", None, "aot_eager", marks=pytest.mark.slow),
    pytest.param("T_alibi", "alibi_sdpa", "aot_eager", marks=pytest.mark.slow),
    pytest.param("T_hard_alibi", "hard_alibi_sdpa", "aot_eager", marks=pytest.mark.slow),
    pytest.param("T_hard_alibi", "hard_alibi_split", "inductor", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "implementation", "backend"), COMPILED)
def test_compiled_training_step(name: str, implementation: str | None, backend: str) -> None:
    """One graph, with the loss and gradients of PyTorch's masked attention without compilation."""
    torch.compiler.reset()
    ids = letters(3, 11)
    plain = tiny(name, num_hidden_layers=1, attn_implementation="sdpa")
    chosen = {"attn_implementation": implementation} if implementation else {}
    fast = tiny(name, num_hidden_layers=1, **chosen)
    expected = plain.train()(ids, labels=ids, use_cache=False).loss
    expected.backward()
    step = torch.compile(fast.train(), fullgraph=True, backend=backend)
    loss = step(ids, labels=ids, use_cache=False).loss
    loss.backward()
    torch.testing.assert_close(loss, expected, atol=1e-5, rtol=1e-5)
    for one, other in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "compiled"), [("T_rope", False), ("T_nope", False), ("T_rope", True)])
def test_a_stock_model_makes_no_mask_where_nothing_is_masked(name: str, compiled: bool) -> None:
    """The fastest kernels take no mask; with a mask, the answers are those of stock attention."""
    torch.compiler.reset()
    fast, stock = tiny(name), tiny(name, attn_implementation="sdpa")
    seen = []
    causal = ALL_ATTENTION_FUNCTIONS["causal_sdpa"]

    def spy(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **named: Any) -> Any:
        seen.append(None if mask is None else mask.numel())
        return causal(module, query, key, value, mask, **named)

    AttentionInterface.register("causal_sdpa", spy)
    try:
        ids, position_ids = letters(2, 6), torch.tensor([[0, 1, 2, 0, 1, 2]])
        step = torch.compile(fast, backend="eager") if compiled else fast
        for call in (
            {},
            {"attention_mask": torch.tensor([[0, 1, 1, 1, 1, 1], [1] * 6])},
            {"position_ids": position_ids},
        ):
            got = step(ids, use_cache=False, **call).logits
            torch.testing.assert_close(got, stock(ids, use_cache=False, **call).logits, atol=5e-6, rtol=5e-6)
        assert [bool(number) for number in seen] == [False] * 2 + [True] * 4
    finally:
        AttentionInterface.register("causal_sdpa", causal)
