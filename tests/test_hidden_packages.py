"""A folder in the working directory hides a package that transformers imports."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from synthetic_training.models.model_types import is_shipped
from tests.import_graph import ROOT

BUILD = """
from dataset_builders.command_line import command_errors
from synthetic_training.models.registry import find_architecture
with command_errors():
    find_architecture("hf:xlstm")
"""


@pytest.mark.skipif(not is_shipped("xlstm"), reason="transformers has no xLSTM")
@pytest.mark.skipif(find_spec("xlstm") is not None, reason="the package xlstm is installed")
def test_a_run_in_a_folder_named_like_a_package(tmp_path: Path) -> None:
    (tmp_path / "xlstm").mkdir()
    command = [sys.executable, "-c", f"import sys; sys.path.insert(1, {str(ROOT)!r}){BUILD}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.strip().splitlines()[-1] == (
        "error: transformers cannot import hf:xlstm: No module named 'xlstm.xlstm_large'; is there a folder "
        "of this name here, or another version of the package?"
    )
    assert "Traceback" not in done.stderr
