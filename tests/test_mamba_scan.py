"""Mamba's scan in PyTorch, and transformers' Mamba with it, compared with the definition and with stock."""

import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dataset_builders.device_functions import use_kernels_where_they_work
from synthetic_training.models import mamba
from synthetic_training.models.kernels.mamba_scan import (
    scan_floor,
    selective_scan,
    selective_scan_reference,
)
from synthetic_training.models.mamba import (
    FastJambaMambaMixer,
    FastMambaMixer,
    draw_authors_weights,
    use_fast_scan,
)
from synthetic_training.models.registry import build_model
from tests.scan_inputs import scan_inputs


def test_one_state_by_hand() -> None:
    """With a = 0 the state never decays: y_t is the sum of delta x, with delta = log 2, times silu(0.5)."""
    x = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1)
    zeros, ones = torch.zeros(1, 3, 1), torch.ones(1, 3, 1)
    flat = torch.zeros(1)
    y = selective_scan(x, zeros, torch.zeros(1, 1), ones, ones, flat, 0.5 * ones, flat)
    gate = 0.5 / (1 + 2.718281828 ** (-0.5))
    expected = torch.tensor([1.0, 3.0, 7.0]) * 0.693147181 * gate
    torch.testing.assert_close(y.flatten(), expected)


@pytest.mark.parametrize("shape", [(1, 1, 3, 4), (2, 7, 3, 4), (1, 8, 5, 16), (3, 9, 2, 1), (2, 35, 6, 3)])
def test_equals_the_definition(shape: tuple[int, int, int, int]) -> None:
    """Output and all gradients, at lengths before, at and after the end of a chunk."""
    inputs = scan_inputs(*shape, torch.float64)
    expected = selective_scan_reference(*inputs)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    got = selective_scan(*inputs)
    torch.testing.assert_close(got, expected)
    gradients = torch.autograd.grad(expected, inputs, weights)
    for got_one, one in zip(torch.autograd.grad(got, inputs, weights), gradients, strict=True):
        torch.testing.assert_close(got_one, one)


def test_second_derivatives_are_refused() -> None:
    inputs = scan_inputs(1, 3, 2, 2, torch.float64)
    (first,) = torch.autograd.grad(selective_scan(*inputs).sum(), inputs[2], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        first.sum().backward()


def test_keeps_the_type_of_x() -> None:
    inputs = scan_inputs(1, 5, 4, 2, torch.float32)
    half = [v.bfloat16() if v.dim() == 3 else v for v in inputs]
    got = selective_scan(*half)
    assert got.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), selective_scan(*[v.float() for v in half]), rtol=2e-2, atol=2e-2)


class Work(TorchDispatchMode):
    """Counts the numbers that all operations write."""

    written = 0

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        output = operation(*arguments, **(options or {}))
        self.written += sum(one.numel() for one in tree_leaves(output) if isinstance(one, Tensor))
        return output


def test_work_is_linear_in_the_length() -> None:
    """The numbers written per token, forward and backward, which quadratic work would multiply by four."""

    def per_token(length: int) -> float:
        inputs = scan_inputs(2, length, 16, 8, torch.float32)
        with Work() as work:
            selective_scan(*inputs).sum().backward()
        return work.written / length

    assert per_token(880) < 1.1 * per_token(220)


def test_floor_of_the_paper_size() -> None:
    floor = scan_floor(batch=64, length=220, channels=2048, states=32, itemsize=2)
    assert floor.exponentials == 3 * 64 * 220 * 2048 * 32
    # 5 forward, and 4 + 12 + 1 backward
    assert floor.flops == (5 + 17) * 64 * 220 * 2048 * 32
    assert floor.bytes == 2 * 64 * 220 * (11 * 2048 + 6 * 32)


@pytest.fixture(scope="module")
def pair() -> tuple[Any, Any]:
    """Stock Mamba, and a copy with the same weights and the fast scan."""
    return make_pair()


def make_pair(**arguments: object) -> tuple[Any, Any]:
    torch.manual_seed(1)
    sizes = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "state_size": 4, "pad_token_id": 0}
    stock = transformers.MambaForCausalLM(transformers.MambaConfig(**sizes, **arguments))
    use_kernels_where_they_work(stock)
    for name, parameter in stock.named_parameters():
        if name.endswith("conv1d.bias"):
            torch.nn.init.normal_(parameter)  # zero at first, which would hide what padding turns into
    fast = copy.deepcopy(stock)
    assert use_fast_scan(fast) == 2
    return stock, fast


def left_padded(rows: int, length: int) -> dict[str, Tensor]:
    """Row r begins with r positions of padding; the last position is never padding."""
    ids = torch.randint(1, 30, (rows, length), generator=torch.Generator().manual_seed(length))
    padding = torch.arange(length) < torch.arange(rows)[:, None].clamp(max=length - 1)
    return {"input_ids": ids.masked_fill(padding, 0), "attention_mask": (~padding).long()}


@pytest.mark.parametrize("arguments", [{}, {"use_bias": True, "use_conv_bias": False, "conv_kernel": 3}])
@pytest.mark.parametrize("shape", [(1, 1), (1, 13), (3, 16)])
def test_layers_equal_stock(arguments: dict[str, object], shape: tuple[int, int]) -> None:
    """Logits and the gradient of every parameter, with left padding."""
    stock, fast = make_pair(**arguments)
    inputs = left_padded(*shape)
    expected = stock(**inputs, use_cache=False).logits
    got = fast(**inputs, use_cache=False).logits
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(0))
    (expected * weights).sum().backward()
    (got * weights).sum().backward()
    for (name, one), other in zip(stock.named_parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(other.grad, one.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_padding_changes_nothing_behind_it(pair: tuple[Any, Any]) -> None:
    _, fast = pair
    inputs = left_padded(4, 9)
    with torch.no_grad():
        padded = fast(**inputs, use_cache=False).logits
        alone = fast(input_ids=inputs["input_ids"][3:, 3:], use_cache=False).logits
    torch.testing.assert_close(padded[3:, 3:], alone)


def test_generation_with_a_cache_equals_a_full_forward(
    pair: tuple[Any, Any],
) -> None:
    stock, fast = (model.eval() for model in pair)
    inputs = left_padded(3, 6)
    given = fast.generate(**inputs, max_new_tokens=8, do_sample=False)
    assert torch.equal(given, stock.generate(**inputs, max_new_tokens=8, do_sample=False))
    mask = torch.nn.functional.pad(inputs["attention_mask"], (0, 8), value=1)
    with torch.no_grad():
        full = fast(input_ids=given, attention_mask=mask, use_cache=False).logits
    assert torch.equal(full[:, 5:-1].argmax(-1), given[:, 6:])


def test_layers_of_jamba_equal_stock() -> None:
    """Logits with left padding, the gradient of every parameter, and generated tokens."""
    torch.manual_seed(1)
    sizes: dict[str, Any] = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2}
    hybrid: dict[str, Any] = {
        "attn_layer_period": 3,
        "attn_layer_offset": 1,
        "num_experts": 1,
        "mamba_d_state": 4,
    }
    fast = build_model("hf:jamba", {"vocab_size": 30, "pad_token_id": 0}, **sizes, **hybrid)
    for name, parameter in fast.named_parameters():
        if "layernorm" in name or name.endswith("bias"):
            torch.nn.init.normal_(parameter)
    assert sum(type(layer) is FastJambaMambaMixer for layer in fast.modules()) == 2
    stock = transformers.JambaForCausalLM(copy.deepcopy(fast.config))
    stock.load_state_dict(fast.state_dict())
    stock.set_attn_implementation("sdpa")
    weights = torch.randn(3, 13, 30)
    for inputs in (left_padded(3, 13), {"input_ids": left_padded(3, 13)["input_ids"]}):
        expected, got = (model(**inputs, use_cache=False).logits for model in (stock, fast))
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        gradients = (
            torch.autograd.grad((logits * weights).sum(), list(model.parameters()))
            for logits, model in ((got, fast), (expected, stock))
        )
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    inputs = left_padded(3, 6)
    given = fast.eval().generate(**inputs, max_new_tokens=4, do_sample=False)
    assert torch.equal(given, stock.eval().generate(**inputs, max_new_tokens=4, do_sample=False))


@pytest.mark.parametrize("has_triton", [True, False])
def test_a_gpu_without_triton_uses_the_scan_in_pytorch(
    has_triton: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also with 12 states. The scan is replaced, so this needs no GPU."""
    on_gpu: Any = SimpleNamespace(is_cuda=True, dtype=torch.float32)
    monkeypatch.setattr(mamba, "_HAS_TRITON", has_triton)
    monkeypatch.setattr(mamba.mamba_scan, "selective_scan", lambda *_: "PyTorch")
    monkeypatch.delattr(mamba, "mamba_scan_triton", raising=False)
    if has_triton:
        kernels = SimpleNamespace(selective_scan=lambda *_: "Triton")
        monkeypatch.setattr(mamba, "mamba_scan_triton", kernels, raising=False)
    expected: Any = "Triton" if has_triton else "PyTorch"
    assert mamba._scan(on_gpu, on_gpu, torch.zeros(4, 12)) == expected


def test_files_stay_stock(pair: tuple[Any, Any], tmp_path: Path) -> None:
    stock, fast = pair
    stock.save_pretrained(tmp_path / "stock")
    fast.save_pretrained(tmp_path / "fast")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "stock" / name).read_bytes() == (tmp_path / "fast" / name).read_bytes()
    assert not any(isinstance(m, FastMambaMixer) for m in load(tmp_path / "fast").modules())


def load(folder: Path) -> torch.nn.Module:
    return transformers.AutoModelForCausalLM.from_pretrained(folder)


def test_a_model_without_such_layers_is_left_alone() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    assert use_fast_scan(model) == 0


@torch.no_grad()
def test_initial_weights_are_those_of_the_authors_code() -> None:
    """Linear layers as in PyTorch: uniform up to 1 / sqrt(inputs), the last one scaled down by the depth."""
    layers = 4
    torch.manual_seed(0)
    model = build_model("mamba", hidden_size=128, num_hidden_layers=layers, state_size=16)
    for layer in (block.mixer for block in model.backbone.layers):
        for part in ("in_proj", "out_proj", "x_proj"):
            weight = getattr(layer, part).weight
            most = weight.shape[1] ** -0.5 / (layers**0.5 if part == "out_proj" else 1)
            assert weight.abs().max() == pytest.approx(most, rel=0.02)
            assert weight.std() == pytest.approx(most / 3**0.5, rel=0.05)
    assert model.get_input_embeddings().weight.std() == pytest.approx(0.02, rel=0.1)
    untied = build_model("mamba", hidden_size=128, num_hidden_layers=1, tie_word_embeddings=False)
    assert untied.get_output_embeddings().weight.abs().max() == pytest.approx(128**-0.5, rel=0.02)
    gained = build_model("mamba", hidden_size=128, num_hidden_layers=1, x_proj_gain=6.0)
    mixer = gained.backbone.layers[0].mixer
    assert mixer.x_proj.weight.abs().max() == pytest.approx(6 * 256**-0.5, rel=0.02)
    assert mixer.in_proj.weight.abs().max() == pytest.approx(128**-0.5, rel=0.02)
    stock = build_model("hf:mamba", hidden_size=128, num_hidden_layers=layers, state_size=16)
    assert stock.backbone.layers[0].mixer.in_proj.weight.std() == pytest.approx(0.1, rel=0.05)
    assert draw_authors_weights(build_model("lstm", hidden_size=8, num_hidden_layers=1)) == 0


@pytest.mark.parametrize("width", [128, 512])
def test_a_gain_lets_more_of_the_output_come_out_of_the_state(width: int) -> None:
    """Less than a hundredth of the standard deviation without a gain, and over a tenth with a gain of 8."""
    assert share_of_the_state(width, 1.0) < 0.01
    assert share_of_the_state(width, 8.0) > 0.1


@torch.no_grad()
def share_of_the_state(width: int, gain: float) -> float:
    """The part of the state in the input of the first layer's ``out_proj``, relative to the whole."""
    torch.manual_seed(0)
    sizes = {"hidden_size": width, "num_hidden_layers": 1, "state_size": 16}
    model = build_model("mamba", **sizes, x_proj_gain=gain)
    mixer = model.backbone.layers[0].mixer
    outputs = []
    mixer.out_proj.register_forward_hook(lambda _, inputs, __: outputs.append(inputs[0]))
    ids = torch.randint(0, 26, (4, 110))
    for _ in range(2):
        model(input_ids=ids, use_cache=False)
        mixer.D.zero_()
    whole, state = (output.std().item() for output in outputs)
    return state / whole
