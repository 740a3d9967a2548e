"""Commands in processes that start quickly: they are forked from a server that has done the imports.

A new interpreter takes 4 s to import torch and transformers, and 8 s more to import the trainer and lm-eval's
models. A forked process runs the same commands with the same arguments and environment, and shares no state
with this one. Tests of the interpreter or of a launcher start new interpreters, with the fixture ``run``.
"""

import atexit
import importlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn
from unittest import mock

from dataset_builders import InputError
from dataset_builders.extras import require

LM_EVAL = ["lm_eval.evaluator", "lm_eval.models.huggingface", "transformers.generation", "tests.in_process"]
TRAINER = ["synthetic_training.training.run", "synthetic_training.evaluation.evaluate", "tests.tiny_run"]

ENVIRONMENT = dict(os.environ)
"""That of the test run; a test may change its own before the server starts."""

ROOT = Path(__file__).parents[1]


@cache
def context() -> ForkServerContext:
    """The context that starts processes with the imports done; there is one server for all tests.

    The server is a new interpreter. A fork of the test run would share its locks, which a killed process
    never releases.
    """
    context = multiprocessing.get_context("forkserver")
    try:
        require("train")
        context.set_forkserver_preload(LM_EVAL + TRAINER)
    except InputError:  # beside a transformers that is too old for the trainer
        context.set_forkserver_preload(LM_EVAL)
    path = os.pathsep.join(filter(None, (str(ROOT), ENVIRONMENT.get("PYTHONPATH"))))
    with mock.patch.dict(os.environ, {**ENVIRONMENT, "PYTHONPATH": path}, clear=True):
        forkserver.ensure_running()
    return context


class Forked:
    """``python ARGUMENTS``, with the part of Popen's interface that tests use.

    Args:
        arguments: ``-m MODULE ...`` or ``-c CODE ...``.
        folder: its working directory.
        environment: its environment variables.
        output: a file to which everything printed is appended (default: ``communicate`` returns it).
        anew: packages to import again, because they read the environment when they are imported, or
            because the environment's PYTHONPATH contains another copy.
    """

    def __init__(
        self,
        arguments: Sequence[str | Path],
        folder: Path,
        environment: Mapping[str, str],
        output: Path | None = None,
        anew: Sequence[str] = (),
    ) -> None:
        self._kept = TemporaryDirectory()
        self._files = [output or Path(self._kept.name, name) for name in ("out", "err")]
        words = list(map(str, arguments))
        stdin, self.stdin = context().Pipe(duplex=False)
        self._process = context().Process(
            target=_run, args=(words, str(folder), dict(environment), *map(str, self._files), stdin, anew)
        )
        self._process.start()
        stdin.close()

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("a forked command", timeout or 0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """The output and the errors, after the process has ended."""
        self.stdin.close()
        self.wait(timeout)
        out, err = (file.read_text() for file in self._files)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            assert self._process.pid is not None
            os.kill(self._process.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run_forked(
    arguments: Sequence[str | Path],
    folder: Path,
    environment: Mapping[str, str],
    timeout: float = 300,
    anew: Sequence[str] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    process = Forked(arguments, folder, environment, anew=anew)
    try:
        out, err = process.communicate(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return subprocess.CompletedProcess(list(arguments), process.wait(), out, err)


def _run(
    words: list[str],
    folder: str,
    environment: Mapping[str, str],
    out: str,
    err: str,
    stdin: Connection,
    anew: Sequence[str],
) -> NoReturn:
    """In the new process: what an interpreter does from start to end."""
    os.setsid()
    os.chdir(folder)
    os.dup2(stdin.fileno(), 0)
    for number, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.exit(_interpret(words, environment, anew))


def _interpret(words: list[str], environment: Mapping[str, str], anew: Sequence[str] = ()) -> int:
    """The status of ``python WORDS`` in this folder."""
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:0] = [str(Path.cwd()), *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  until the end
    sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))  # noqa: SIM115  as well
    for name, module in list(sys.modules.items()):
        code = getattr(module, "__file__", None) or ""  # one that is not in Python can be loaded once only
        if name.split(".")[0] in {"sitecustomize", *anew} and code.endswith(".py"):
            del sys.modules[name]
    with suppress(ImportError):
        importlib.import_module("sitecustomize")
    from tests.in_process import exit_status
    from tests.quick_lm_eval import our_tasks_alone, quick_lm_eval

    kind, what, *options = words
    sys.argv = [what, *options] if kind == "-m" else [kind, *options]
    if not hasattr(sys.modules.get(what), "__path__"):
        sys.modules.pop(what, None)
    sys.modules.pop(f"{what}.__main__", None)
    with ExitStack() as stack:
        stack.enter_context(quick_lm_eval())
        if "lm_eval" not in anew:
            stack.enter_context(our_tasks_alone())
        if kind == "-m":
            status = exit_status(lambda: runpy.run_module(what, run_name="__main__", alter_sys=True))
        else:
            status = exit_status(lambda: exec(what, {"__name__": "__main__"}))
    atexit._run_exitfuncs()
    return status
