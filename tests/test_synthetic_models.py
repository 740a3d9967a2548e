"""The models by name: what they refuse, and that batches, caches, packing and compiling change nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, AutoModelForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from dataset_builders import InputError
from synthetic_training.data.symbol_tokenizer import (
    END_ID,
    PAD_ID,
    START_ID,
    decode,
    encode,
    symbol_tokenizer,
)
from synthetic_training.models.embeddings import draw_embeddings
from synthetic_training.models.mamba import FastMambaMixer
from synthetic_training.models.registry import MODELS, build_model

TINY: dict[str, dict[str, Any]] = {
    "T_rope": {"num_attention_heads": 4},
    "T_nope": {"num_attention_heads": 4},
    "T_alibi": {"num_attention_heads": 4},
    "T_hard_alibi": {"num_attention_heads": 4, "num_masked_heads": 3},
    "mamba": {"state_size": 4},
    "lstm": {},
}
TRANSFORMERS = ("T_rope", "T_nope", "T_alibi", "T_hard_alibi")
OWN_TYPES = ("T_alibi", "T_hard_alibi", "lstm")

HEADS = {"num_attention_heads": 4}
GATED = {**HEADS, "num_key_value_heads": 2, "intermediate_size": 64}
OTHER_ARCHITECTURES: dict[str, dict[str, Any]] = {
    "falcon_mamba": {},
    "gemma2": {**GATED, "head_dim": 8},
    "gpt2": HEADS,
    "gpt_neox": {**HEADS, "intermediate_size": 64},
    "llama": GATED,
    "mamba2": {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8, "chunk_size": 8},
    "mistral": GATED,
    "olmo2": GATED,
    "phi": {**GATED, "num_key_value_heads": 4},
    "qwen3": {**GATED, "head_dim": 8},
    "recurrent_gemma": {**GATED, "num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 8},
    "rwkv": {"attention_hidden_size": 32, "intermediate_size": 64},
}


def tiny(name: str, **overrides: Any) -> Any:
    """A random model of two layers, attention's weights scaled up so that no two answers nearly tie."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, **TINY[name]}
    model = build_model(name, **(sizes | overrides)).eval()
    if name in TRANSFORMERS:
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.data.mul_(8)
    return model


def letters(*shape: int) -> Tensor:
    return torch.randint(0, 26, shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_have_the_papers_size(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(151e6, rel=0.01)
    assert not [key for key, p in model.named_parameters() if 2048 in p.shape], (
        "a parameter for each position"
    )


def test_recurrent_models_have_the_papers_sizes() -> None:
    with torch.device("meta"):
        mamba, lstm = build_model("mamba"), build_model("lstm")
    assert sum(p.numel() for p in mamba.parameters()) == pytest.approx(160e6, rel=0.02)
    assert (mamba.config.num_hidden_layers, mamba.config.state_size) == (24, 32)
    assert (lstm.config.num_hidden_layers, lstm.config.hidden_size) == (4, 1024)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_reads_the_symbols(name: str) -> None:
    model = tiny(name)
    assert model(torch.arange(30)[None]).logits.shape == (1, 30, 30)
    for config in (model.config, model.generation_config):
        assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (START_ID, END_ID, PAD_ID)


@pytest.mark.parametrize("name", [*MODELS, *(f"hf:{one}" for one in OTHER_ARCHITECTURES)])
def test_every_architecture_trains_and_sees_the_past_alone(name: str) -> None:
    sizes = TINY.get(name) or OTHER_ARCHITECTURES.get(name.removeprefix("hf:"), {})
    torch.manual_seed(0)
    model = build_model(name, **{"hidden_size": 32, "num_hidden_layers": 2, **sizes})
    ids = letters(2, 12)
    loss = model(ids, labels=ids).loss
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    model.eval()
    changed = ids.clone()
    changed[:, 8:] = (changed[:, 8:] + 1) % 26
    with torch.no_grad():
        one, other = model(ids).logits, model(changed).logits
    torch.testing.assert_close(one[:, :8], other[:, :8], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(one[:, 8:], other[:, 8:], atol=1e-3)


@pytest.mark.parametrize(
    ("name", "overrides", "sentence"),
    [
        ("T_ropee", {}, r"'T_ropee' is not a model; did you mean 'T_rope'\?"),
        ("MAMBA", {}, r"'MAMBA' is not a model; did you mean 'mamba'\?"),
        ("?", {}, r"'\?' is not a model; the models are T_rope, .*, lstm, hf:TYPE, module.path:ClassName"),
        ("hf:lama", {}, r"no causal language model of the type 'lama'; did you mean 'hf:llama'\?"),
        ("T_rope", {"hiden_size": 8}, r"T_rope has no argument 'hiden_size'; did you mean 'hidden_size'\?"),
        ("lstm", {"num_attention_heads": 8}, "lstm has no argument 'num_attention_heads'"),
        ("T_nope", {"hidden_size": 65}, "hidden_size = 65 must be divisible by num_attention_heads = 16"),
        ("mamba", {"hidden_size": 0}, "hidden_size of mamba must be an integer of at least 1, not 0"),
        ("mamba", {"state_size": "8"}, "state_size of mamba must be an integer of at least 1, not '8'"),
        ("T_hard_alibi", {"num_masked_heads": 17}, "at most num_attention_heads = 16, not 17"),
        ("T_hard_alibi", {"num_masked_heads": -1}, "at least 0, not -1"),
        ("mamba", {"x_proj_gain": 0}, "x_proj_gain of mamba must be a number above 0, not 0"),
        ("mamba", {"x_proj_gain": "much"}, "must be a number above 0, not 'much'"),
        ("hf:mamba", {"x_proj_gain": 2.0}, "hf:mamba has no argument 'x_proj_gain'"),
        ("T_alibi", {"attn_implementation": "flash"}, "T_alibi cannot be built .* must be one of alibi_sdpa"),
        ("T_rope", {"hidden_act": "geluu"}, r"no activation 'geluu'; did you mean 'gelu'\?"),
        ("hf:mamba2", {"hidden_size": 1000}, "hf:mamba2 cannot be built with these arguments: "),
    ],
)
def test_slips_get_one_sentence(name: str, overrides: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as raised, torch.device("meta"):
        build_model(name, **overrides)
    assert "\n" not in str(raised.value)


PROMPTS = ("$a|", "$qwerty|", "$abcabcabcabc|", "$zz|")


def prompts() -> tuple[Tensor, Tensor]:
    """Four prompts of different lengths, padded on the left, and their mask."""
    batch = symbol_tokenizer(64)(list(PROMPTS), padding=True, return_tensors="pt")
    return batch["input_ids"], batch["attention_mask"]


def without_padding(model: Any, prompt: str, tokens: int) -> tuple[list[int], Tensor]:
    """Greedy tokens and their logits, each from one pass over everything before it."""
    ids, logits = encode(prompt), []
    for _ in range(tokens):
        logits.append(model(torch.tensor([ids]), use_cache=False).logits[0, -1])
        ids.append(int(logits[-1].argmax()))
    return ids[-tokens:], torch.stack(logits)


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


def test_lstm_starts_with_orthogonal_memory_and_open_forget_gates() -> None:
    model = tiny("lstm")
    for gate in model.lstm.weight_hh_l1.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(32), atol=1e-5, rtol=0)
    assert [bias.unique().tolist() for bias in model.lstm.bias_ih_l0.chunk(4)] == [[0], [1], [0], [0]]
    assert model.lstm.bias_hh_l0.unique().tolist() == [0]


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
    """One graph, and the loss and gradients of PyTorch's attention with a mask, without compiling."""
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


@pytest.mark.parametrize("name", ["T_rope", "T_nope"])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_stock_model_makes_no_mask_where_nothing_is_masked(name: str, compiled: bool) -> None:
    """The fastest kernels take none; where something is masked, the answers are those of stock attention."""
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


def test_models_are_built_with_their_fastest_way() -> None:
    """Its answers are those of the slow one, so nothing else would miss it."""
    chosen = {name: tiny(name).config._attn_implementation for name in TRANSFORMERS}
    assert chosen == {
        "T_rope": "causal_sdpa",
        "T_nope": "causal_sdpa",
        "T_alibi": "alibi_fold",
        "T_hard_alibi": "hard_alibi_split",
    }
    for name in ("mamba", "hf:mamba"):
        model = build_model(name, hidden_size=32, num_hidden_layers=2, state_size=4)
        assert sum(type(module) is FastMambaMixer for module in model.modules()) == 2


@pytest.mark.parametrize("name", MODELS)
@torch.no_grad()
def test_saved_models_come_back(name: str, tmp_path: Path) -> None:
    model = tiny(name)
    ids, mask = prompts()
    expected = model(ids, attention_mask=mask).logits
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(again) is type(model)
    if name.endswith("alibi"):
        assert again.config._attn_implementation == f"{name.removeprefix('T_')}_sdpa"
    torch.testing.assert_close(again(ids, attention_mask=mask).logits, expected, atol=0, rtol=0)
    code = sorted(path.name for path in tmp_path.glob("*.py"))
    file = "modeling_lstm.py" if name == "lstm" else "modeling_alibi.py"
    assert code == ([file] if name in OWN_TYPES else [])


BARE = """
import json, sys, torch
from transformers import AttentionInterface, AutoModelForCausalLM
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
folder, *names = sys.argv[1:]
for name in names:
    try:
        AutoModelForCausalLM.from_pretrained(f"{folder}/{name}", trust_remote_code=False)
    except ValueError as error:
        assert "trust_remote_code" in str(error), error
    else:
        raise AssertionError(f"{name} was loaded without trust")
    model = AutoModelForCausalLM.from_pretrained(f"{folder}/{name}", trust_remote_code=True)
    saved = torch.load(f"{folder}/{name}.pt", weights_only=True)
    with torch.no_grad():
        logits = model(saved["ids"], attention_mask=saved["mask"]).logits
    assert torch.equal(logits, saved["logits"]), name
    model.save_pretrained(f"{folder}/{name}-again")
    print(name, model.config._attn_implementation)

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
path = f"{folder}/{names[0]}"
lm = HFLM(pretrained=path, trust_remote_code=True, device="cpu", batch_size=4, dtype="float32")
prompts = sys.stdin.read().split()
options = {"until": ["."], "max_gen_toks": 12, "do_sample": False}
asked = [Instance("generate_until", {}, (prompt, options), i) for i, prompt in enumerate(prompts)]
answers = lm.generate_until(asked, disable_tqdm=True)
with open(f"{folder}/answers.json", "w") as file:
    json.dump([answers, lm.tok_encode(prompts[0])], file)
assert "synthetic_training" not in sys.modules
"""


@torch.no_grad()
def test_saved_models_need_nothing_of_ours_but_trust(tmp_path: Path) -> None:
    """Also: lm-eval asks such a model, which adds no token to the prompts and stops at the full stop."""
    ids, mask = prompts()
    names = ["T_hard_alibi", "T_alibi", "lstm"]
    for name in names:
        model = tiny(name)
        model.save_pretrained(tmp_path / name)
        symbol_tokenizer(64).save_pretrained(tmp_path / name)
        logits = model(ids, attention_mask=mask).logits
        torch.save({"ids": ids, "mask": mask, "logits": logits}, tmp_path / f"{name}.pt")
    asked = [*PROMPTS, *(f"${decode(row)}|" for row in letters(12, 9))]
    done = subprocess.run(
        [sys.executable, "-I", "-c", BARE, str(tmp_path), *names],
        input=" ".join(asked),
        env={**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "T_hard_alibi hard_alibi_sdpa" in lines
    assert "T_alibi alibi_sdpa" in lines
    answered, tokens = json.loads((tmp_path / "answers.json").read_text())
    assert tokens == encode(PROMPTS[0])
    model = tiny("T_hard_alibi")
    answers = [decode(without_padding(model, prompt, 12)[0]) for prompt in asked]
    assert any("." in answer for answer in answers)
    assert answered == [answer.split(".")[0].replace("*", "") for answer in answers]


def test_embeddings_drawn_anew_keep_their_padding_and_take_a_tied_head_along() -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = build_model("hf:llama", **sizes, tie_word_embeddings=True)
    draw_embeddings(model, 3.0)
    weight = model.get_input_embeddings().weight.detach()
    padding = model.config.pad_token_id
    assert not weight[padding].any()
    assert weight[:padding].std() == pytest.approx(3, rel=0.05)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
