"""Tests of Triton kernels that run on a CUDA device and, on small shapes, in Triton's interpreter.

The interpreter must be requested before the kernels are imported, so in a separate process:
``tests/test_kernels_interpreted.py`` starts it.
"""

import os
from collections.abc import Callable

import pytest

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cpu" if INTERPRETED else "cuda"


def on_device(test: Callable[..., None]) -> Callable[..., None]:
    """A test that needs a GPU, except in the interpreter."""
    return test if INTERPRETED else pytest.mark.gpu(test)
