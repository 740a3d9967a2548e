"""Small random models and a way to run the real lm-eval."""

import gc
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
# the default tests are the same on every machine, also in processes that they start
os.environ["CUDA_VISIBLE_DEVICES"] = os.environ.get("TEST_GPUS", "")

from dataset_builders import InputError
from dataset_builders.checks import first_line
from dataset_builders.extras import require
from tests import forked
from tests.hub.fixture import hub
from tests.import_graph import imports, modules
from tests.quick_lm_eval import our_tasks_alone, quick_lm_eval

# the same examples in every run, or others with --hypothesis-profile random, as in make test-slow;
# a busy machine is no failure
settings.register_profile("same", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None, derandomize=False, max_examples=1000, print_blob=True)
settings.load_profile("same")

# until the first test: what is imported before stays to the end, and looking through it takes seconds
gc.disable()

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """Exclude what was imported from garbage collection, which then only inspects objects of the tests."""
    gc.freeze()
    gc.enable()
    try:
        return (yield)
    finally:
        gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def lm_eval_is_quick() -> Iterator[None]:
    with quick_lm_eval():
        yield


@pytest.fixture(autouse=True)
def logging_is_enabled() -> Iterator[None]:
    """Some commands switch warnings off for their process, which here runs other tests too."""
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tests.models import byte_tokenizer

    return byte_tokenizer()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random GPT-NeoX over bytes with a window of 512 tokens, saved as a user's model would be."""
    from tests.models import byte_tokenizer, tiny_model

    folder = tmp_path_factory.mktemp("models") / "tiny-neox"
    tiny_model("gpt_neox", max_position_embeddings=512).save_pretrained(folder)
    byte_tokenizer(model_max_length=512).save_pretrained(folder)
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run ``python ...`` as a user would, in a folder of its own."""

    def run_command(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *map(str, command)],
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run_command


@pytest.fixture
def run_forked(tmp_path: Path) -> Run:
    """Like ``run``, in a process that starts with torch, transformers, lm-eval and the trainer imported.

    lm-eval finds only the tasks of ``--include_path``, unless it is imported again.
    """

    def run_command(
        *command: str | Path, anew: Sequence[str] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return forked.run_forked(command, tmp_path, {**os.environ, **environment}, anew=anew)

    return run_command


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run ``python -m MODULE ...`` in this process, in its own folder; lm-eval finds only our tasks.

    A new process would take 10 s more to import torch and lm-eval and to index lm-eval's own tasks.
    """
    from tests.in_process import run_module

    monkeypatch.chdir(tmp_path)
    with our_tasks_alone():
        yield run_module


@pytest.fixture
def lm_eval_command(run_here: Run) -> Run:
    """Run ``lm_eval ...`` in this process."""
    return partial(run_here, "lm_eval")


@pytest.fixture
def own_lm_eval(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with the test's own copy of lm-eval, which has few tasks and may be changed."""
    import lm_eval

    installed = Path(lm_eval.__file__).parent

    def others(folder: str, names: list[str]) -> list[str]:
        if Path(folder) != installed / "tasks":
            return []
        return [name for name in names if not name.endswith(".py") and name != "arc"]

    shutil.copytree(installed, tmp_path / "own" / "lm_eval", copy_function=_link, ignore=others)
    return tmp_path / "own"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


NEEDS = {
    "synthetic_training": "train",
    "tests.completions_server": "api",
    "tests.hub.client": "publish",
    "lm_eval_tasks.publish": "publish",
    "dataset_builders.release.push": "publish",
}
"""Modules whose tests are left out where an extra is missing or too old, as beside an old transformers."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--extra", choices=sorted(set(NEEDS.values())), help="only test files that need this extra"
    )


@cache
def missing(extra: str) -> str:
    """Why an extra cannot be used; empty if it can."""
    try:
        require(extra)
    except InputError as error:
        return first_line(error)
    return ""


def _needed_extras(test: Path) -> set[str]:
    """The extras that are needed to import a test file and the helpers that it imports."""
    helpers = modules("tests")
    needed: set[str] = set()
    waiting, seen = [test], {Path(__file__)}
    while waiting:
        file = waiting.pop()
        seen.add(file)
        for found in imports(file):
            if not found.deferred and not found.for_types:
                needed.update(extra for package, extra in NEEDS.items() if found.module.startswith(package))
                if helpers.get(found.module, file) not in seen:
                    waiting.append(helpers[found.module])
    return needed


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.suffix != ".py" or not collection_path.name.startswith("test_"):
        return None
    chosen = config.getoption("--extra")
    if chosen is None and not any(map(missing, NEEDS.values())):
        return None
    needed = _needed_extras(collection_path)
    return True if any(map(missing, needed)) or chosen not in {None, *needed} else None


def pytest_report_header() -> list[str]:
    """The versions with which the tests run, and the tests that are left out."""
    packages = ("lm-eval", "transformers", "datasets", "huggingface-hub", "tokenizers", "pyarrow", "torch")
    return [
        ", ".join(f"{name} {version(name)}" for name in packages),
        *(
            f"left out: tests of [{extra}]: {missing(extra)}"
            for extra in set(NEEDS.values())
            if missing(extra)
        ),
    ]


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Do not use bytes in names of tests: gzip adds the time, and all workers must collect the same names."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need what this machine does not have, with the reason."""
    on_gpu = [item for item in items if item.get_closest_marker("gpu")]
    if on_gpu:
        import torch

        if torch.cuda.is_available():
            return
        for item in on_gpu:
            reason = "no CUDA device" if os.environ["CUDA_VISIBLE_DEVICES"] else "run on a GPU: make test-gpu"
            item.add_marker(pytest.mark.skip(reason=reason))
