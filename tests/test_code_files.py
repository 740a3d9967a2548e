"""Which files count as the code of a user's own model, and which are saved with it."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from dataset_builders import InputError
from synthetic_training.models import code_files
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.code_copies import NotCopiedError, copies_of
from synthetic_training.models.code_files import class_digests
from synthetic_training.models.registry import build_model
from synthetic_training.models.saved import load_model, save_with_code, why_not_copied

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
        ("from cell import Cell", {"model.py", "cell.py"}),
        ("from my_models.cell import Cell", {"model.py", "cell.py"}),
        ("from my_models import cell", {"model.py", "cell.py"}),
        ("import my_models.cell as cell", {"model.py", "cell.py"}),
        ("import my_models.cell", None),
        ("from my_models import cell, VERSION", None),
        ("from . import cell", {"model.py", "cell.py"}),
        ("from .cell import Cell\nimport cell", None),
        ("import helpers", None),
        ("import helpers.cell", None),
        ("from .kernels import of_c", None),
        ("from .deep.cell import Cell", None),
        ("from .deep import cell", None),
        ("from ..helpers.cell import Cell", None),
    ],
)
def test_files_are_copied_only_if_a_copy_finds_all_of_them(
    statement: str, copied: set[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may be outside of the model's folder and package."""
    for name in (
        "cell.py",
        "helpers/__init__.py",
        "helpers/cell.py",
        "my_models/cell.py",
        "my_models/deep/cell.py",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "my_models/model.py").write_text(statement)
    monkeypatch.syspath_prepend(tmp_path)
    if copied is None:
        with pytest.raises(NotCopiedError):
            copies_of("my_models.model")
    else:
        copies = copies_of("my_models.model")
        assert copies is not None and set(copies.files) == copied


MANY_IMPORTS = """
import math, my_cell as cell; import my_cell
from torch import nn
from my_cell import (  # the width of a Zelle, in größter Kürze
    WIDTH,
    WIDTH as width,
)
class Letters(nn.Sequential):
    def __init__(self, vocab_size):
        'größer'; import my_last; from my_last \\
            import depth
        assert WIDTH == width == cell.WIDTH == my_cell.WIDTH and depth() == my_last.depth() == math.floor(3.5)
        super().__init__(nn.Embedding(vocab_size, WIDTH), nn.Linear(WIDTH, vocab_size))
"""


def test_files_that_import_each_other_by_name_are_copied_with_relative_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of the copies have the same numbers, and a file without such imports is copied as it is."""
    files = {"letters": MANY_IMPORTS, "cell": "WIDTH = 8\r\n", "deepest": "DEPTH = 3"}
    files["last"] = "def depth():\n    import my_deepest\n    return my_deepest.DEPTH\n"
    for name, text in files.items():
        (tmp_path / f"my_{name}.py").write_bytes(text.encode())
    saved = tmp_path / "saved"
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        model = build_model("my_letters:Letters")
        assert why_not_copied(model) is None
        save_with_code(model, saved)
    for name in [one for one in sys.modules if one.startswith("my_")]:
        del sys.modules[name]
    assert (saved / "my_cell.py").read_bytes() == files["cell"].encode()
    copy = (saved / "my_letters.py").read_text(encoding="utf-8").splitlines()
    assert [line for line in copy if line not in MANY_IMPORTS.splitlines()] == [
        "import math; from . import my_cell as cell; from . import my_cell",
        "from .my_cell import (  # the width of a Zelle, in größter Kürze",
        "        'größer'; from . import my_last; from .my_last import depth",
    ]
    again = load_model(saved, trust_remote_code=True)
    ids = torch.arange(5)[None]
    assert torch.equal(again(ids).logits, model(ids).logits)
    assert "my_cell" not in sys.modules


def test_a_saved_model_says_which_module_it_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with the module's name would be somebody else's, so the error does not suggest one."""
    (tmp_path / "my_helpers").mkdir()
    (tmp_path / "my_helpers/cell.py").write_text("WIDTH = 8\n")
    (tmp_path / "my_letters.py").write_text(
        "from torch import nn\nfrom my_helpers.cell import WIDTH\n"
        "class Letters(nn.Sequential):\n"
        "    def __init__(self, vocab_size):\n"
        "        super().__init__(nn.Embedding(vocab_size, WIDTH), nn.Linear(WIDTH, vocab_size))\n"
    )
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path)
        model = build_model("my_letters:Letters")
        (warning,) = [one for one in check_own_model("it", model, 8) if "will not be saved" in one]
        assert "because my_helpers.cell is not a file beside it, so the saved model can only be" in warning
        save_with_code(model, tmp_path / "saved")
        load_model(tmp_path / "saved", trust_remote_code=True)
    for name in [one for one in sys.modules if one.startswith(("my_", "transformers_modules.saved."))]:
        del sys.modules[name]
    sentence = "needs the module my_letters, which is not saved with it"
    with pytest.raises(InputError, match=sentence) as raised:
        load_model(tmp_path / "saved", trust_remote_code=True)
    assert "pip install" not in str(raised.value)


def test_a_relative_import_outside_of_a_package_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_relative.py").write_text("from .cell import Cell\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        InputError, match="the file my_relative.py imports others relatively, .*; omit the dot"
    ):
        build_model("my_relative:Letters")
