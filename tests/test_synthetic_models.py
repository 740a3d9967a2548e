"""The named models: sizes, initial weights, training, and errors."""

import logging
import warnings
from typing import Any

import pytest
import torch

from dataset_builders import InputError
from synthetic_training.data.symbol_tokenizer import END_ID, PAD_ID, START_ID
from synthetic_training.models.embeddings import draw_embeddings
from synthetic_training.models.mamba import FastMambaMixer
from synthetic_training.models.paper_models import MODELS
from synthetic_training.models.registry import build_model
from tests.tiny_synthetic_models import TINY, TRANSFORMERS, letters, tiny

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


@pytest.mark.parametrize("name", [*MODELS, "tests.gated_linear_attention:GatedLinearAttention"])
def test_no_model_uses_deprecated_names(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """transformers warns of the old names of arguments and outputs, once per process."""
    model = tiny(name) if name in MODELS else build_model(name, hidden_size=16)
    logging.Logger.warning_once.cache_clear()  # type: ignore[attr-defined]  # added by transformers
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model(letters(2, 5), labels=letters(2, 5)).loss.backward()
        model.eval().generate(letters(2, 5), max_new_tokens=3)
    assert "deprecated" not in caplog.text


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
        ("T_ropee", {}, r"'T_ropee' is not a model; .*; did you mean 'T_rope'\?"),
        ("mamba2", {}, r"'mamba2' is not a model; .*; did you mean 'hf:mamba2' or 'fla:mamba2'\?"),
        ("gpt2", {}, r"'gpt2' is not a model; .*; did you mean 'hf:gpt2'\?"),
        ("MAMBA", {}, r"'MAMBA' is not a model; .*; did you mean 'mamba'\?"),
        (
            "?",
            {},
            r"'\?' is not a model; the models are T_rope, .*, PACKAGE:TYPE .*, module.path:ClassName",
        ),
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
        ("mamba", {"norm": "group"}, "norm of mamba must be one of rms, layer, final_layer, not 'group'"),
        ("lstm", {"norm": "layer"}, "lstm has no argument 'norm'"),
        ("lstm", {"dropout": 1}, "lstm cannot be built .* dropout must be at least 0 and below 1, not 1"),
        ("lstm", {"initial_weights": "zero"}, "initial_weights must be orthogonal or uniform, not 'zero'"),
        ("T_alibi", {"attn_implementation": "flash"}, "T_alibi cannot be built .* must be one of alibi_sdpa"),
        ("T_rope", {"hidden_act": "geluu"}, r"no activation 'geluu'; did you mean 'gelu'\?"),
        ("hf:gpt2", {"activation_function": "geluu"}, r"no activation 'geluu'; did you mean 'gelu'\?"),
        (
            "T_rope",
            {"vocab_size": 5},
            "the task has 30 tokens; omit vocab_size=5 from the arguments",
        ),
        ("hf:mamba2", {"hidden_size": 1000}, "hf:mamba2 cannot be built with these arguments: "),
    ],
)
def test_slips_get_one_sentence(name: str, overrides: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as raised, torch.device("meta"):
        build_model(name, **overrides)
    assert "\n" not in str(raised.value)


def test_lstm_starts_with_orthogonal_memory_and_open_forget_gates() -> None:
    model = tiny("lstm")
    for gate in model.lstm.weight_hh_l1.chunk(4):
        torch.testing.assert_close(gate @ gate.T, torch.eye(32), atol=1e-5, rtol=0)
    assert [bias.unique().tolist() for bias in model.lstm.bias_ih_l0.chunk(4)] == [[0], [1], [0], [0]]
    assert model.lstm.bias_hh_l0.unique().tolist() == [0]
    bound = (6 / (32 + 4 * 32)) ** 0.5  # Xavier's, of a matrix with all four gates
    assert 0.99 * bound < model.lstm.weight_ih_l0.abs().max() <= bound
    assert float(model.embed.weight.detach().std()) == pytest.approx(1, rel=0.1)
    assert float(model.lm_head.weight.detach().std()) == pytest.approx(32**-0.5, rel=0.1)


def test_beam_search_moves_the_lstms_state_with_its_rows() -> None:
    model, ids, rows = tiny("lstm"), letters(3, 7), torch.tensor([2, 0, 2])
    state = model(ids[:, :6]).past_key_values
    state.reorder_cache(rows)
    assert state.get_seq_length() == 6
    logits = model(ids[rows][:, 6:], past_key_values=state).logits[:, -1]
    torch.testing.assert_close(logits, model(ids[rows]).logits[:, -1])


def test_the_lstm_of_the_released_code() -> None:
    """Its number of parameters, its initial weights, and dropout, which is active only in training."""
    changes = {"dropout": 0.65, "head_bias": True, "initial_weights": "uniform"}
    with torch.device("meta"):
        built = build_model("lstm", num_hidden_layers=12, **changes)
    layer, width, symbols = 4 * (1024 * 1024 * 2 + 2 * 1024), 1024, 30
    assert sum(p.numel() for p in built.parameters()) == 12 * layer + symbols * width * 2 + symbols
    model = tiny("lstm", **changes)
    bounds = {"embed": 0.1, "lstm": 32**-0.5, "lm_head": 32**-0.5}
    for name, parameter in model.named_parameters():
        if name == "lm_head.bias":
            assert not parameter.any()
        else:
            bound = bounds[name.partition(".")[0]]
            assert 0.9 * bound < parameter.abs().max() <= bound
            assert float(parameter.std()) == pytest.approx(bound / 3**0.5, rel=0.15)
    ids = letters(2, 12)
    assert torch.equal(model(ids).logits, model(ids).logits)
    model.train()
    assert not torch.equal(model(ids).logits, model(ids).logits)


@pytest.mark.gpu
def test_a_seed_determines_the_lstms_dropout_on_a_gpu() -> None:
    """cuDNN has its own random state, which PyTorch sets again after a seed."""
    model, ids, found = tiny("lstm", dropout=0.5).cuda().train(), letters(2, 12).cuda(), []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(model(ids).logits)
    assert torch.equal(found[0], found[1]) and not torch.equal(found[0], found[2])


def test_mamba_with_layer_norm() -> None:
    """LayerNorm is RMSNorm of the centred input, and adds 25 biases to the paper's Mamba."""
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in build_model("mamba", norm=n).parameters()) for n in ("rms", "layer")]
    assert sizes == [162_405_376, 162_430_976]
    rms, layer = tiny("mamba"), tiny("mamba", norm="layer")
    x = torch.randn(5, 32)
    for one, other in ((rms.backbone.norm_f, layer.backbone.norm_f),
                       (rms.backbone.layers[1].norm, layer.backbone.layers[1].norm)):  # fmt: skip
        torch.testing.assert_close(other(x), one(x - x.mean(-1, keepdim=True)))
    assert sum(type(module) is FastMambaMixer for module in layer.modules()) == 2


def test_models_are_built_with_their_fastest_way() -> None:
    """The results are the same as without it, so no other test would notice."""
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


def test_embeddings_drawn_anew_keep_their_padding_and_take_a_tied_head_along() -> None:
    sizes = {"hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    model = build_model("hf:llama", **sizes, tie_word_embeddings=True)
    draw_embeddings(model, 3.0)
    weight = model.get_input_embeddings().weight.detach()
    padding = model.config.pad_token_id
    assert not weight[padding].any()
    assert weight[:padding].std() == pytest.approx(3, rel=0.05)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
