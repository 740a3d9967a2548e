"""The wheel contains only what users run, and works in its own environment."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from synthetic_training.figures.estimate import committed_results
from tests.import_graph import PACKAGES, ROOT

for tool in ("build", "hatchling", "hatch_fancy_pypi_readme"):
    pytest.importorskip(tool, reason=f"building the wheel needs {tool}")

LOAD_ALL = """
from importlib.metadata import entry_points

import lm_eval_tasks
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval_tasks.catalog import task_files
from dataset_builders.registry import resolve
from dataset_builders.release.checksums import known_checksums
from synthetic_training.figures.estimate import committed_results

print(lm_eval_tasks.__file__)
for entry in task_files():
    config = load_yaml(entry.file)
    if not entry.members:
        resolve(config["dataset_path"])
    print(entry.name, config.get("class"))
manager = TaskManager(
    include_path=lm_eval_tasks.TASKS_FOLDER, include_defaults=False, metadata={"num_docs": 1}
)
print(len(manager.load(["phone_book"])["tasks"]), len(known_checksums()) > 0)
(point,) = entry_points(group="lm_eval.tasks", name="repeat_after_me")
print(point.load().__name__)
print(len(committed_results()))
"""


RUN_TIME_SUFFIXES = {".py", ".yaml", ".yml", ".typed", ".jinja"}
RUN_TIME_FILES = {"architectures.json", "card_template.md", "checksums.json", "speed_h200.json"}
ESTIMATED_FROM = Path("synthetic_training/figures/results")
LARGEST = 1_400_000
"""In bytes. The wheel had 1,130,000 when this was set, of which 260,000 are results that estimates use."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """A fresh virtual environment with our wheel, and with the dependencies of this environment."""
    environment = wheel.parent / "env"
    quiet = {"check": True, "capture_output": True, "cwd": wheel.parent}
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], **quiet)
    (packages,) = environment.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # a path in a .pth file is searched last, and the editable install that it holds is not followed
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


def _is_run(name: str) -> bool:
    """Whether a file of a package is code, or is read by the code."""
    file = Path(name)
    if file.parent == ESTIMATED_FROM:
        return any(map(file.match, ("*_paper.jsonl", "*_small.jsonl", "mamba_*.jsonl", "cut_runs.jsonl")))
    return (
        file.suffix in RUN_TIME_SUFFIXES or file.name in RUN_TIME_FILES or file.name.endswith("_yaml")
    ) and not re.search(r"(deviations|documents|figures|precision|theory)/results/|/checkpoints/", name)


def test_the_wheel_holds_what_users_run(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    here = {
        str(file.relative_to(ROOT))
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert names == {name for name in here if _is_run(name)}
    assert wheel.stat().st_size < LARGEST


def test_the_page_on_a_package_index_has_whole_addresses(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        page = archive.read(name).decode().partition("\n\n")[2]
    links = re.findall(r"(!?)\[[^\]]*\]\(([^)]+)\)", page)
    assert len(links) > 20
    assert all(address.startswith("https://") for _, address in links)
    assert all("/blob/" not in address for image, address in links if image)


def test_every_task_loads_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        [installed / "bin" / "python", "-c", LOAD_ALL],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    where, *loaded, sizes, package, results = result.stdout.splitlines()
    assert Path(where).is_relative_to(installed)
    assert len(loaded) == len(list((ROOT / "lm_eval_tasks").glob("**/*.yaml")))
    assert "phone_book_20 <class 'lm_eval_tasks.recall_task.RecallTask'>" in loaded
    assert sizes == "6 True"
    assert package == "lm_eval_tasks"
    assert int(results) == len(committed_results())
