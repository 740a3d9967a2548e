"""The wheel, in an environment of its own, holds everything that the checkout does."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

LOAD_ALL = """
from importlib.metadata import entry_points

import lm_eval_tasks
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
from lm_eval_tasks.catalog import entries
from dataset_builders.registry import resolve
from dataset_builders.release.checksums import known_checksums

print(lm_eval_tasks.__file__)
for entry in entries():
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
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment with our wheel, its dependencies borrowed from this one."""
    folder = tmp_path_factory.mktemp("wheel")
    quiet = {"check": True, "capture_output": True, "cwd": folder}
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    subprocess.run(build, **quiet)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], **quiet)
    (packages,) = environment.glob("lib/python*/site-packages")
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", packages, wheel]
    subprocess.run(install, **quiet)
    # a path in a .pth file is searched last, and the editable install that it holds is not followed
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return environment


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
    where, *loaded, sizes, package = result.stdout.splitlines()
    assert Path(where).is_relative_to(installed)
    assert len(loaded) == len(list((ROOT / "lm_eval_tasks").glob("**/*.yaml")))
    assert "phone_book_20 <class 'lm_eval_tasks.recall_task.RecallTask'>" in loaded
    assert sizes == "6 True"
    assert package == "lm_eval_tasks"
