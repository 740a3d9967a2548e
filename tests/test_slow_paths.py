"""Which packages would make a model faster."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from torch.nn import Identity

from dataset_builders.files import write_json
from synthetic_training.models import slow_paths
from synthetic_training.models.registry import build_model
from synthetic_training.models.sizes import preset_arguments
from synthetic_training.models.slow_paths import missing_kernels, slow_path_warning

LACKS = {
    "T_rope": [],
    "mamba": [],
    "hf:mamba": [],  # this project's scan
    "hf:llama": [],
    "hf:mamba2": ["causal-conv1d", "mamba-ssm"],
    "hf:qwen3_next": ["causal-conv1d", "flash-linear-attention"],
    "hf:lfm2": ["causal-conv1d"],
    "hf:xlstm": ["xlstm"],
    "hf:rwkv": ["kernels"],
}


@pytest.mark.parametrize("name", LACKS)
def test_packages_are_those_that_transformers_looks_for(name: str) -> None:
    """In an environment without these packages."""
    for package in ("fla", "causal_conv1d", "mamba_ssm", "xlstm", "kernels"):
        if find_spec(package) is not None:
            pytest.skip(f"{package} is installed")
    model = build_model(name, **preset_arguments("small", name, {}))
    assert missing_kernels(model) == LACKS[name]


def test_the_warning_has_the_measured_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "architectures.json"
    monkeypatch.setattr(slow_paths, "MEASURED", file)
    monkeypatch.setattr(slow_paths, "missing_kernels", lambda _: ["mamba-ssm"])
    model = build_model("hf:llama", **preset_arguments("small", "hf:llama", {}))
    assert slow_path_warning("hf:mamba2", model) == (
        "hf:mamba2 runs with PyTorch code of transformers, which is slow on a GPU; it uses faster kernels if "
        "these packages are installed: mamba-ssm"
    )
    rows = [
        {"model": "T_rope", "tokens_per_s": 440_000.0, "machine": "NVIDIA H200"},
        {"model": "hf:mamba2", "tokens_per_s": 28_000.0, "machine": "NVIDIA A100"},
    ]
    rows[1]["missing_kernels"] = ["mamba-ssm"]
    write_json(file, {"rows": rows})
    assert str(slow_path_warning("hf:mamba2", model)).endswith(
        " (without mamba-ssm it trained at 28 thousand tokens/s on one NVIDIA A100 at the paper's size, "
        "T_rope at 440 thousand tokens/s on one NVIDIA H200)"
    )
    monkeypatch.setattr(slow_paths, "missing_kernels", lambda _: [])
    assert slow_path_warning("hf:mamba2", model) is None


@pytest.mark.parametrize("name", ["hf:rwkv", "hf:xlstm"])
def test_the_results_have_a_speed_for_the_warning(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_paths, "missing_kernels", lambda _: ["a-package"])
    assert re.search(
        r"it trained at \d+ thousand tokens/s .* T_rope at \d+ thousand",
        str(slow_path_warning(name, Identity())),
    )
