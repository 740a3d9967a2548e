"""Commands for GPUs on a machine without one."""

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from dataset_builders import InputError
from synthetic_training.precision import study
from synthetic_training.speed import architectures, kernels, trainer


@pytest.mark.parametrize("module", [architectures, kernels, trainer, study], ids=lambda one: one.__name__)
def test_without_a_gpu_they_end_in_one_sentence(
    module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path / "out.json")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there is no (CUDA device to measure|GPU that PyTorch can use)"):
        module.main()
    assert not [*tmp_path.iterdir()]
