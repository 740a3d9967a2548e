"""The Triton kernels in Triton's interpreter, in a separate process; see ``triton_interpreter``."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="the kernels need triton")

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
