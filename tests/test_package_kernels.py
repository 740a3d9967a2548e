"""The kernels that transformers calls compute what its PyTorch code computes."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from synthetic_training.models.model_types import PACKAGES as PACKAGES_OF_MODELS
from tests.import_graph import ROOT
from tests.package_kernels import ANY_KERNEL, PACKAGES

MODELS = (
    "hf:mamba2",
    "hf:falcon_mamba",
    "hf:falcon_h1",
    "hf:bamba",
    "hf:lfm2",
    "hf:qwen3_next",
    "hf:olmo_hybrid",
    "hf:kimi_linear",
)


def gradients(model: str, device: str, out: Path, *without: str) -> tuple[dict[str, torch.Tensor], str]:
    """The loss and gradients, and the packages that transformers would have used if they were there."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.package_kernels", model, device, str(out), *without],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": os.environ["CUDA_VISIBLE_DEVICES"].split(",")[0]},
        capture_output=True,
        text=True,
        check=False,
    )
    if "Please upgrade Triton" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.returncode == 0, done.stderr[-2000:]
    with safe_open(out, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()["missing"]  # noqa: SIM118


def check_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], error: float) -> None:
    """Every gradient differs by at most a fraction ``error`` of the whole gradient, and the losses too."""
    assert one.keys() == other.keys()
    assert one["loss"].item() == pytest.approx(other["loss"].item(), rel=error)
    whole = torch.stack([value.double().norm() for name, value in other.items() if name != "loss"]).norm()
    differences = {name: ((one[name] - other[name]).double().norm() / whole).item() for name in other}
    assert max(differences.values()) < error, sorted(differences.items(), key=lambda item: -item[1])[:5]


@pytest.mark.gpu
@pytest.mark.parametrize("model", MODELS)
def test_kernels_compute_what_pytorch_code_does(model: str, tmp_path: Path) -> None:
    reference, missed = gradients(model, "cuda", tmp_path / "reference", *PACKAGES)
    module_of = {package: module for module, package in PACKAGES_OF_MODELS.items()}
    missing = [one for one in missed.split() if find_spec(module_of.get(one, one.replace("-", "_"))) is None]
    if missing or not missed:
        pytest.skip(f"not installed: {', '.join(missing) or 'any package that this model uses'}")
    found, still_missed = gradients(model, "cuda", tmp_path / "kernels")
    assert not still_missed
    check_equal(found, reference, 0.01)  # kernels round matrix products to TF32


@pytest.mark.gpu
def test_the_kernel_that_is_not_called_is_wrong(tmp_path: Path) -> None:
    """If not, mamba_ssm has mended it, and dataset_builders/device_functions.py need not avoid it."""
    if find_spec("mamba_ssm") is None:
        pytest.skip("not installed: mamba_ssm")
    reference, _ = gradients("hf:falcon_mamba", "cuda", tmp_path / "reference", *PACKAGES)
    found, _ = gradients("hf:falcon_mamba", "cuda", tmp_path / "kernels", ANY_KERNEL)
    with pytest.raises(AssertionError):
        check_equal(found, reference, 0.01)


def test_two_processes_have_the_same_weights_and_examples(tmp_path: Path) -> None:
    """Otherwise the comparison above could not show anything."""
    one, missed = gradients("hf:lfm2", "cpu", tmp_path / "one", *PACKAGES)
    other, _ = gradients("hf:lfm2", "cpu", tmp_path / "other", *PACKAGES)
    assert missed.split()
    check_equal(one, other, 1e-5)
    with pytest.raises(AssertionError):
        check_equal(one, {**other, "loss": other["loss"] * 1.1}, 0.01)
