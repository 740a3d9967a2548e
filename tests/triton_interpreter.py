"""Tests of Triton kernels that run on a CUDA device and, on small shapes, in Triton's interpreter.

The interpreter must be requested before the kernels are imported, so in a separate process:
``tests/test_kernels_interpreted.py`` starts it.
"""

import os
from collections.abc import Callable

import pytest
import torch

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"


def on_device(test: Callable[..., None]) -> Callable[..., None]:
    """Skip the test if there is neither the interpreter nor a CUDA device."""
    if INTERPRETED:
        return test
    skip = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    return pytest.mark.gpu(skip(test))
