"""Models run off the GPU although packages of CUDA kernels are installed."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from transformers import MambaConfig, PreTrainedModel
from transformers.integrations import hub_kernels
from transformers.models.mamba.modeling_mamba import MambaMixer

from dataset_builders.device_functions import closure_of, use_kernels_where_they_work
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code
from synthetic_training.models.sizes import preset_arguments
from synthetic_training.theory.state import state_bits

LAYERS = {"hf:mamba2": 1, "hf:qwen3_next": 2, "hf:falcon_mamba": 1}


def refuse(*_: Any, **__: Any) -> None:
    raise RuntimeError("Expected x.is_cuda() to be true, but got false.")


def install_kernels(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    """Decorate a modeling file's functions again, as transformers does if their packages are installed."""
    for key, function in [*vars(module).items()]:
        if (decorated := closure_of(function)).get("is_new_implementation") is False:
            name, package = decorated["func_name"], decorated["package"]
            stand_in = ModuleType(package)
            vars(stand_in)[name] = refuse
            monkeypatch.setitem(sys.modules, package, stand_in)
            monkeypatch.setitem(hub_kernels._KERNELS_INTERNAL_PATH_MAPPINGS, name, None)
            decorate = hub_kernels.use_kernel_func_from_hub_with_fallback(name, package)
            monkeypatch.setattr(module, key, decorate(decorated["torch_function"]))


@pytest.fixture(autouse=True)
def _without_packages() -> None:
    for package in ("causal_conv1d", "fla", "mamba_ssm"):
        if find_spec(package) is not None:
            pytest.skip(f"{package} is installed, so that all tests on a CPU test this")


def built(name: str) -> PreTrainedModel:
    torch.manual_seed(0)
    return build_model(name, **preset_arguments("small", name, {"num_hidden_layers": LAYERS[name]}))


@pytest.mark.parametrize("name", LAYERS)
def test_a_model_gives_the_same_logits_on_a_cpu(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    model = built(name)
    save_with_code(model, tmp_path)
    ids = torch.randint(30, (2, 9))
    with torch.no_grad():
        expected = model(ids).logits
    bits = state_bits(model, 9, torch.bfloat16)
    install_kernels(monkeypatch, sys.modules[type(model).__module__])
    with pytest.raises(RuntimeError, match="is_cuda"):
        model(ids)
    with torch.no_grad():
        assert built(name)(ids).logits.equal(expected)
        assert load_model(tmp_path)(ids).logits.equal(expected)
    assert state_bits(model, 9, torch.bfloat16) == bits


def test_tensors_on_a_gpu_go_to_the_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[type(built("hf:mamba2")).__module__]
    install_kernels(monkeypatch, module)
    built("hf:mamba2")
    x, weight = torch.zeros(1, 4, 8), torch.ones(4, 3)
    assert module.causal_conv1d_fn(x, weight).shape == x.shape
    compiled = torch.compile(lambda x: module.causal_conv1d_fn(x, weight), fullgraph=True, backend="eager")
    assert compiled(x).shape == x.shape
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    with pytest.raises(RuntimeError, match="is_cuda"):
        module.causal_conv1d_fn(x, weight)


class OwnMixer(MambaMixer):
    """A layer of a user's own model."""


def test_a_layer_derived_from_one_of_transformers_runs_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = OwnMixer(MambaConfig(hidden_size=16, state_size=4), 0)
    x = torch.randn(1, 5, 16)
    expected = layer(x)
    install_kernels(monkeypatch, sys.modules[MambaMixer.__module__])
    with pytest.raises(RuntimeError, match="is_cuda"):
        layer(x)
    use_kernels_where_they_work(layer)
    assert layer(x).equal(expected)


def test_a_layer_whose_kernel_is_wrong_does_not_call_it_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """mamba_ssm's layer ignores Falcon-Mamba's norms in the gradient; without norms, it is right."""
    model = built("hf:falcon_mamba")
    module = sys.modules[type(model).__module__]
    install_kernels(monkeypatch, module)
    use_kernels_where_they_work(model)
    x, norm = torch.zeros(1), torch.ones(1)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    with pytest.raises(RuntimeError, match="is_cuda"):
        module.mamba_inner_fn(x, *[x] * 7)
    assert module.mamba_inner_fn(x, *[x] * 7, b_rms_weight=norm) is None
