"""Which files count as the code of a user's own model, and which are saved with it."""

import importlib
import sys
from pathlib import Path

import pytest

from dataset_builders import InputError
from synthetic_training.models import code_files
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.code_files import class_digests, files_to_copy
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code

MODEL = """
import json
import numpy
from torch import nn
from transformers import PreTrainedModel
from cell import Cell
import my_cells.width as width
from my_cells.deep import gru
from .near import NEAR

class Letters(nn.Module):
    def forward(self, ids):
        from my_cells import late_name
        from optional_package_that_is_missing import faster
"""
FILES = {
    "my_models/__init__.py": "",
    "my_models/model.py": MODEL,
    "my_models/near.py": "NEAR = 1\n",
    "my_models/other.py": "from my_cells.unused import UNUSED\n",
    "cell.py": "from my_cells.indirect import Cell\n",
    "my_cells/__init__.py": "from .late import late_name\n",
    "my_cells/width.py": "WIDTH = 8\n",
    "my_cells/late.py": "late_name = 1\n",
    "my_cells/indirect.py": "class Cell: pass\nimport cell\n",
    "my_cells/unused.py": "UNUSED = 1\n",
    "my_cells/deep/gru.py": "from ..indirect import Cell\n",  # in a package without __init__.py
}
NEEDED = [
    *("cell.py", "my_cells/__init__.py", "my_cells/deep/gru.py", "my_cells/indirect.py", "my_cells/late.py"),
    *("my_cells/width.py", "my_models/model.py", "my_models/near.py"),
]


def write(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def digests(folder: Path, *before: str) -> dict[str, str]:
    """The digests in a process that has imported the modules ``before`` first."""
    known = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        try:
            for name in before:
                importlib.import_module(name)
            wrapper = BareModuleForCausalLM.around(importlib.import_module("my_models.model").Letters)
            return class_digests(wrapper, wrapper.config_class)
        finally:
            for name in set(sys.modules) - known:
                del sys.modules[name]


def test_every_file_that_the_model_needs_counts(tmp_path: Path) -> None:
    """However it is imported, unless it is installed; other files of the same packages do not."""
    before = digests(write(tmp_path))
    assert [*before] == NEEDED
    for name, text in FILES.items():
        (tmp_path / name).write_text(f"{text}# edited\n")
        after = digests(tmp_path)
        assert [one for one in after if after[one] != before[one]] == [name] * (name in NEEDED)
        (tmp_path / name).write_text(text)


def test_the_folder_and_other_imports_make_no_difference(tmp_path: Path) -> None:
    here = digests(write(tmp_path / "here"))
    assert digests(write(tmp_path / "there"), "my_models.other", "my_cells.late", "my_cells.deep.gru") == here


def test_installed_packages_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells, known = write(tmp_path) / "my_cells", code_files.is_installed
    monkeypatch.setattr(code_files, "is_installed", lambda file: file.is_relative_to(cells) or known(file))
    assert [*digests(tmp_path)] == ["cell.py", "my_models/model.py", "my_models/near.py"]


def test_looking_up_the_files_imports_none_of_them(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "my_cells/late.py").write_text("late_name = 1\nraise SystemExit")
    (tmp_path / "my_cells/__init__.py").write_text("def lazily():\n    from .late import late_name\n")
    assert [*digests(tmp_path)] == NEEDED


@pytest.mark.parametrize(
    ("statement", "copied"),
    [
        ("from .cell import Cell", {"model.py", "cell.py"}),
        ("import numpy\nfrom torch import nn", {"model.py"}),
        ("from cell import Cell", None),
        ("import helpers.cell", None),
        ("from my_models.cell import Cell", None),
        ("from . import cell", None),
        ("from .deep.cell import Cell", None),
        ("from .deep import cell", None),
        ("from ..helpers.cell import Cell", None),
    ],
)
def test_files_are_copied_only_if_a_copy_finds_all_of_them(
    statement: str, copied: set[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be outside of the model's folder and package."""
    for name in ("cell.py", "helpers/cell.py", "my_models/cell.py", "my_models/deep/cell.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "my_models/model.py").write_text(statement)
    monkeypatch.syspath_prepend(tmp_path)
    files = files_to_copy("my_models.model")
    assert (None if files is None else {file.name for file in files}) == copied


@pytest.mark.parametrize("statement", ["from my_helpers.cell import WIDTH", "from my_cell import WIDTH"])
def test_a_saved_model_says_which_module_it_lacks(
    statement: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distribution with the module's name would be somebody else's, so the error does not suggest one."""
    (tmp_path / "my_helpers").mkdir()
    for name in ("my_helpers/cell.py", "my_cell.py"):
        (tmp_path / name).write_text("WIDTH = 8\n")
    (tmp_path / "my_letters.py").write_text(
        f"from torch import nn\n{statement}\n"
        "class Letters(nn.Sequential):\n"
        "    def __init__(self, vocab_size):\n"
        "        super().__init__(nn.Embedding(vocab_size, WIDTH), nn.Linear(WIDTH, vocab_size))\n"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        save_with_code(build_model("my_letters:Letters"), tmp_path / "saved")
        load_model(tmp_path / "saved", trust_remote_code=True)
    for name in [one for one in sys.modules if one.startswith(("my_", "transformers_modules.saved."))]:
        del sys.modules[name]
    sentence = "needs the module my_letters, which is not saved with it"
    with pytest.raises(InputError, match=sentence) as raised:
        load_model(tmp_path / "saved", trust_remote_code=True)
    assert "pip install" not in str(raised.value)
