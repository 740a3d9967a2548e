"""The examples in the documents run, with fewer documents and steps."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from synthetic_training.figures.figure_file import read_figure
from synthetic_training.figures.plan import plan
from tests.conftest import Run
from tests.document_commands import Block, blocks, documents
from tests.import_graph import PACKAGES, ROOT
from tests.quick_lm_eval import our_tasks_alone

FEWER: dict[str, dict[str, str | None]] = {
    "lm_eval": {"--limit": "4"},
    "train": {"--steps": "4", "--warmup-steps": "1", "--eval-every": "4", "--eval-examples": "8"},
    "evaluate": {"--num-examples": "8"},
    "docs/examples/recall_probe.py": {"--steps": "4", "--every": "2", "--num-docs": "4"},
    "reproduce": {"--dry-run": None},  # a whole figure takes up to hours
}
"""Options that make a command quick, by a word of it; None for an option without a value."""

PAIR = "synthetic_training/checkpoints"


def python_of(page: str) -> str:
    """The first block of Python of a page of ``docs``."""
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0]


def runnable(document: Path) -> list[Block]:
    return [b for b in blocks(document) if b.commands() and not b.needs and not b.test]


def shortened(words: list[str]) -> list[str]:
    """The command with options that make it quick."""
    given = next((options for word, options in FEWER.items() if word in words), {})
    for option, value in given.items():
        if option in words:
            at = words.index(option)
            words = [*words[:at], *words[at + (1 if value is None else 2) :]]
        words = [*words, option, *([] if value is None else [value])]
    return words


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documents assume: a tokenizer, the page's model, a run and results."""
    from tests.in_process import run_module

    folder = tmp_path_factory.mktemp("prepared")
    shutil.copy(ROOT / PAIR / "transformer" / "tokenizer.json", folder)
    (folder / "my_model.py").write_text(python_of("your_architecture"))
    train = ["train", "--model", "T_rope", "--preset", "small", "--out", folder / "run"]
    made = run_module("synthetic_training", *train, *shortened(["train"])[1:])
    assert made.returncode == 0, made.stderr
    with our_tasks_alone():
        for model in ("transformer", "mamba"):
            evaluated = run_module(
                *("lm_eval", "--model", "hf", "--model_args", f"pretrained={ROOT / PAIR / model}"),
                *("--include_path", ROOT / "lm_eval_tasks", "--tasks", "phone_book_20", "--limit", "4"),
                *("--output_path", folder / "results", "--log_samples"),
            )
            assert evaluated.returncode == 0, evaluated.stderr
    return folder


@pytest.fixture
def workshop(prepared: Path, tmp_path: Path) -> Path:
    """A folder that looks like a clone with the prepared files."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    for name in ("docs", *PACKAGES):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    "document", [one for one in documents() if runnable(one)], ids=lambda file: str(file.relative_to(ROOT))
)
def test_commands_run(document: Path, workshop: Path, run_forked: Run) -> None:
    for block in runnable(document):
        for words in block.commands():
            arguments = shortened(words[1:] if words[0] == "python" else ["-m", *words])
            if arguments[0].endswith(".py"):
                script = f"import runpy; runpy.run_path({arguments[0]!r}, run_name='__main__')"
                arguments = ["-c", script, *arguments[1:]]
            for option in ("--out", "--output_path"):  # what an earlier example has made is made again
                if option in words and words[words.index(option) + 1] == "run":
                    shutil.rmtree(workshop / "run")
            done = run_forked(*arguments, PYTHONPATH=str(ROOT))
            assert done.returncode == 0, (
                f"{block.document}:{block.line} {words}\n{done.stdout}\n{done.stderr}"
            )


def test_evaluation_from_python(model_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = python_of("getting_started").replace('"FOLDER"', repr(str(model_folder))).replace("100", "2")
    names: dict[str, Any] = {}
    with our_tasks_alone():
        exec(code, names)
    assert names["results"]["results"]["phone_book_20"]["sample_len"] == 2
    assert "error" not in capsys.readouterr().out


def test_the_page_has_a_causal_model_of_40_lines() -> None:
    code = python_of("your_architecture")
    assert len([line for line in code.splitlines() if line]) <= 45
    names: dict[str, Any] = {}
    exec(code, names)
    model = names["GatedLinearAttention"](30)
    ids = torch.randint(30, (2, 12), generator=torch.Generator().manual_seed(0))
    changed = ids.clone()
    changed[:, 8:] = 29 - changed[:, 8:]
    assert torch.allclose(model(ids)[:, :8], model(changed)[:, :8], atol=1e-6)
    assert not torch.allclose(model(ids)[:, 8:], model(changed)[:, 8:], atol=1e-3)


def test_the_page_has_a_figure_of_54_runs_and_one_by_length(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "your_architecture.md").read_text(encoding="utf-8")
    files = [tmp_path / "sizes.yaml", tmp_path / "by_length.yaml"]
    for file, content in zip(files, re.findall(r"```yaml\n(.*?)```", text, re.DOTALL), strict=True):
        file.write_text(content)
    sizes, by_length = (read_figure(file) for file in files)
    assert sizes.best_of == "lr" and by_length.x == "length"
    assert len(plan(sizes.scales["small"], str(files[0]))) == 54
    runs = plan(by_length.scales["small"], str(files[1]))
    assert {(run.label, run.config.task) for run in runs} == {
        (label, f"{side}_ngram") for label in ("mine", "T_rope") for side in ("prefix", "suffix")
    }
