"""The commands that measure the speed of training."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from dataset_builders import InputError


@pytest.mark.parametrize("name", ["architectures", "kernels", "trainer"])
def test_without_a_gpu_they_end_in_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(tmp_path / "out.json")])
    with pytest.raises(InputError, match="there is no CUDA device to measure"):
        importlib.import_module(f"synthetic_training.speed.{name}").main()
    assert not (tmp_path / "out.json").exists()
