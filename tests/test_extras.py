"""Plain evaluation needs no extra; a command whose extra is missing names it in one sentence."""

import ast
import importlib
import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from dataset_builders import InputError, extras
from dataset_builders.extras import require, supported_versions
from tests.conftest import Run

ROOT = Path(__file__).parents[1]

WITHOUT_EXTRAS = """
import sys

MISSING = {"torch", "transformers", "accelerate", "triton", "mamba_ssm", "peft", "gguf"}

class WithoutThem:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name in MISSING else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(WithoutThem, sys.meta_path)

from lm_eval_tasks import TASKS_FOLDER
from tests.in_process import run_module

for command in (
    ("lm_eval", "--model", "dummy", "--include_path", TASKS_FOLDER,
     "--tasks", "phone_book_20,phone_book_20_forced,string_copy_10", "--limit", "2", "--output_path", "out"),
    ("lm_eval_tasks", "report", "out", "--out", "drawn"),
    ("lm_eval_tasks", "list"),
):
    run = run_module(*command)
    assert run.returncode == 0, (command, run.stderr)
assert not MISSING & sys.modules.keys()
"""


def test_evaluation_and_reports_need_no_extra(run: Run, own_lm_eval: Path) -> None:
    result = run("-c", WITHOUT_EXTRAS, PYTHONPATH=f"{own_lm_eval}:{ROOT}")
    assert result.returncode == 0, result.stderr


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions that count as installed, by package; None is missing, and other packages are new enough."""
    versions: dict[str, str | None] = {}

    def version(name: str) -> str:
        found = versions.get(name, "99.0")
        if found is None:
            raise metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(extras, "version", version)
    return versions


def test_an_extra_is_complete_missing_or_too_old(installed: dict[str, str | None]) -> None:
    require("train")
    require("publish")
    installed["torch"] = None
    with pytest.raises(
        InputError, match=r"needs torch>=\S+, which is not installed; .*'repeat-after-me\[train\]'"
    ):
        require("train")
    installed["torch"] = "99.0.0.dev20300101+cpu"
    require("train")
    installed["huggingface-hub"] = "0.36.2"
    with pytest.raises(
        InputError, match=r"huggingface-hub>=2.0, which is installed as 0.36.2; .*\[publish\]'"
    ):
        require("publish")


def test_supported_versions_are_those_of_pyproject() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (line,) = (line for line in declared if line.startswith("lm-eval"))
    assert supported_versions("lm-eval") == str(Requirement(line).specifier)


@pytest.mark.parametrize("extra", ["hf", "train", "publish"])
def test_the_lowest_versions_that_are_tested_are_those_of_pyproject(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = (ROOT / "constraints-lowest" / f"{extra}.txt").read_text().splitlines()
    tested = dict(line.split("==") for line in lines)
    # what train and publish need raises some of the base dependencies
    base = project["dependencies"] if extra == "hf" else []
    for requirement in map(Requirement, base + project["optional-dependencies"][extra]):
        if requirement.name != "torch":
            (lowest,) = (s.version for s in requirement.specifier if s.operator in (">=", "=="))
            assert Version(tested[requirement.name]) == Version(lowest), requirement.name


def test_whatever_is_imported_is_declared() -> None:
    """Not only installed because something else needs it; triton is the exception, as a part of torch."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    of_extras = [
        line for extra in ("train", "publish", "cuda") for line in project["optional-dependencies"][extra]
    ]
    declared = {Requirement(line).name for line in (*project["dependencies"], *of_extras)} | {"triton"}
    declared.add("requests")  # of lm-eval[api]
    distributions = metadata.packages_distributions()
    undeclared = set[tuple[str, str]]()
    for package in ("dataset_builders", "lm_eval_tasks", "synthetic_training"):
        for file in (ROOT / package).rglob("*.py"):
            for name in third_party_imports(file):
                known = distributions.get(name, [name])
                if not {one.lower().replace("_", "-") for one in known} & declared:
                    undeclared.add((str(file.relative_to(ROOT)), name))
    assert not undeclared


def third_party_imports(file: Path) -> set[str]:
    """The names of packages, other than Python's and ours, that a file imports."""
    names = set[str]()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    ours = {"dataset_builders", "lm_eval_tasks", "synthetic_training"}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - ours


@pytest.mark.parametrize("document", ["docs/getting_started.md", "CONTRIBUTING.md"])
def test_every_extra_is_in_the_tables(document: str) -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    rows = "".join(line for line in (ROOT / document).read_text().splitlines() if line.startswith("| `"))
    if document == "CONTRIBUTING.md":
        assert not {extra for extra in extras if f"`{extra}`" not in rows}
    else:
        listed = set(re.findall(r"`repeat-after-me\[(\w+)\]`", rows))
        assert listed == extras - {"dev", "docs", "package", "test"}


def test_the_bounds_in_the_installation_page_are_those_of_pyproject() -> None:
    text = (ROOT / "docs/getting_started.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = re.search(r"^lm-eval must be (\S+)\. `hf` needs (.*), `train` (.*)\.$", text, re.MULTILINE)
    assert bounds is not None
    assert f"lm-eval{bounds[1]}" in project["dependencies"]
    for extra, given in (("hf", bounds[2]), ("train", bounds[3])):
        assert set(given.split(" and ")) <= set(project["optional-dependencies"][extra])


def test_what_an_extra_of_a_dependency_adds_is_needed_too(installed: dict[str, str | None]) -> None:
    require("api")
    installed["tenacity"] = None  # of lm-eval[api]
    with pytest.raises(InputError, match=r"needs tenacity, which is not installed; .*\[api\]'"):
        require("api")


def test_todos_of_the_guide_are_done() -> None:
    assert "TODO" not in (ROOT / "CONTRIBUTING.md").read_text()


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        (("synthetic_training", "train", "--out", "run"), "torch", "train"),
        (("dataset_builders", "push", "release", "someone/something"), "huggingface-hub", "publish"),
        (("lm_eval_tasks", "leaderboard", "results", "--out", "site"), "jinja2", "publish"),
        (
            ("lm_eval_tasks", "submit", "results", "--model", "a/b", "--dataset", "c/d"),
            "huggingface-hub",
            "publish",
        ),
    ],
    ids=lambda value: value[1] if isinstance(value, tuple) else "",
)
def test_a_command_names_its_extra(
    run_here: Run, installed: dict[str, str | None], command: tuple[str, ...], package: str, extra: str
) -> None:
    installed[package] = None
    result = run_here(*command)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: this command needs {package}")
    assert f"pip install 'repeat-after-me[{extra}]'" in line


def test_the_probe_names_its_extra(monkeypatch: pytest.MonkeyPatch, installed: dict[str, str | None]) -> None:
    installed["transformers"] = None
    monkeypatch.delitem(sys.modules, "lm_eval_tasks.probe", raising=False)
    with pytest.raises(InputError) as raised:
        importlib.import_module("lm_eval_tasks.probe")
    assert str(raised.value).startswith("lm_eval_tasks.probe needs transformers>=")
    assert str(raised.value).endswith(", which is not installed; run: pip install 'repeat-after-me[hf]'")


def test_the_trainer_asks_for_its_extra_before_it_imports_torch(run: Run) -> None:
    code = (
        "import sys; sys.modules['torch'] = None; import dataset_builders.extras as extras;"
        "extras.version = lambda name: '0'; import synthetic_training.__main__"
    )
    result = run("-c", code, PYTHONPATH=str(ROOT))
    assert result.returncode == 1
    assert result.stderr.startswith("error: this command needs ")
