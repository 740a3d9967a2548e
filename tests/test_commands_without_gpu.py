"""Commands for GPUs on a machine without one."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from dataset_builders import InputError


@pytest.mark.parametrize("name", ["speed.architectures", "speed.kernels", "speed.trainer", "precision.study"])
def test_without_a_gpu_they_end_in_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path / "out.json")])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there is no (CUDA device to measure|GPU that PyTorch can use)"):
        importlib.import_module(f"synthetic_training.{name}").main()
    assert not [*tmp_path.iterdir()]
