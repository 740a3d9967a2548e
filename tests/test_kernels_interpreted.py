"""The Triton kernels in Triton's interpreter, in a separate process; see ``triton_interpreter``."""

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("triton", reason="the kernels need triton")

from tests.scan_inputs import scan_inputs
from tests.triton_interpreter import INTERPRETED

FILES = ("test_mamba_scan_triton.py", "test_window_attention.py")


@pytest.mark.skipif(INTERPRETED, reason="already in the interpreter")
def test_the_kernels_in_the_interpreter() -> None:
    here = Path(__file__).parent
    # nothing of conftest.py and of plugins is needed, and they take seconds to import
    options = ["-q", "-p", "no:cacheprovider", "--noconftest", "--durations=9", "-m", "not gpu"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(here / name for name in FILES)],
        cwd=here.parent,
        env={
            **os.environ,
            "TRITON_INTERPRET": "1",
            "OMP_NUM_THREADS": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) == 18, done.stdout


@pytest.mark.parametrize("kernels", ["mamba_scan_triton", "window_attention"])
def test_kernels_are_launched_on_the_device_of_their_tensors(
    kernels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton launches on the current device, which is another one if a model is on the second GPU."""
    module = importlib.import_module(f"synthetic_training.models.kernels.{kernels}")
    devices: list[Tensor] = []
    launched: list[bool] = []

    @contextmanager
    def device_of(tensor: Tensor) -> Iterator[None]:
        devices.append(tensor)
        yield
        devices.pop()

    class Kernel:
        def __getitem__(self, _: object) -> Callable[..., None]:
            return lambda *_, **__: launched.append(bool(devices))

    monkeypatch.setattr(torch.cuda, "device_of", device_of)
    names = [name for name in vars(module) if name.endswith("_kernel")]
    for name in names:
        monkeypatch.setattr(module, name, Kernel())
    if kernels == "window_attention":
        output = module.window_attention(*torch.ones(3, 1, 2, 8, 16, requires_grad=True), 1.0)
    else:
        output = module.selective_scan(*scan_inputs(1, 8, 16, 16, torch.float32))
    output.sum().backward()
    assert launched == [True] * len(names) and len(names) > 1
