"""Commands in processes that are there in a moment: forked from a process that has done the imports before.

A new interpreter takes 4 s to import torch and transformers, and 8 s more to import the trainer and lm-eval's
models. A forked process runs the same commands with the same arguments and environment, and knows nothing of
the tests that ran before. Tests of what the interpreter or a launcher does start real ones, with the fixture
``run``.
"""

import atexit
import gc
import importlib
import logging
import multiprocessing
import os
import runpy
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cache, partial
from multiprocessing import forkserver, resource_tracker, util
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn
from unittest import mock

from dataset_builders import InputError
from dataset_builders.extras import require

LM_EVAL = ["lm_eval.evaluator", "lm_eval.models.huggingface", "transformers.generation", "tests.in_process"]
TRAINER = ["synthetic_training.training.run", "synthetic_training.evaluation.evaluate", "tests.tiny_run"]


@cache
def context() -> ForkServerContext:
    """For processes that have the imports done.

    The server is forked from this process, before the first test and after all imports of the test files. It
    imports what is missing when the first process is asked for.
    """
    context = multiprocessing.get_context("forkserver")
    try:
        require("train")
        context.set_forkserver_preload(LM_EVAL + TRAINER)
    except InputError:  # beside a transformers that is too old for the trainer
        context.set_forkserver_preload(LM_EVAL)
    resource_tracker.ensure_running()  # which is to be an interpreter of its own
    with mock.patch.object(util, "spawnv_passfds", _fork_server):
        forkserver.ensure_running()
    return context


def _fork_server(executable: str, arguments: list[str], files: list[int]) -> int:
    """Instead of starting ``python -c CODE`` with these files open, run the code in a fork of this process.

    Returns:
        The process id of the fork, in which this function does not return.
    """
    child = os.fork()
    if child:
        return child
    try:
        _leave_files_but(files)
        sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))  # noqa: SIM115
        logging.getLogger().handlers.clear()
        gc.enable()
        for name in [name for name in sys.modules if name.split(".")[0] == "tests"]:
            del sys.modules[name]  # a model's class, say, that a command has to find by itself
        select.select(files[:2], [], [])  # the first request, or the end of the process that would make one
        exec(arguments[-1], {})  # noqa: S102
    except Exception:  # noqa: BLE001  as the interpreter does
        traceback.print_exc()
    finally:
        os._exit(0)


def _leave_files_but(kept: Sequence[int]) -> None:
    """Put the null device in the place of all open files but these and the standard ones.

    If they were closed, objects that came along in the fork would write to what is opened next.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number in [int(file.name) for file in Path("/dev/fd").iterdir()]:
        if number not in {0, 1, 2, *kept, null}:
            os.dup2(null, number, inheritable=False)


class Forked:
    """``python ARGUMENTS``, with the part of Popen's interface that tests use.

    Args:
        arguments: ``-m MODULE ...`` or ``-c CODE ...``.
        folder: the folder that it runs in.
        environment: its environment variables.
        output: a file for all that it prints, which is appended to; ``communicate`` returns it without one.
        anew: packages that are imported again: those that read the environment when they are imported, and
            those of which the environment's PYTHONPATH has another copy.
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
        """What it printed, and the errors, once it has ended."""
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


def fork_workers() -> None:
    """In the process of torch's launcher: let it fork its workers instead of starting new interpreters."""
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    def popen(args: Sequence[str], env: Mapping[str, str], **options: Any) -> subprocess.Popen[bytes]:
        # what is called before the command would be executed never returns
        execute = partial(_execute, args[1:], env)
        return subprocess.Popen(args, env=env, preexec_fn=execute, **options)

    subprocess_handler.Popen = popen


def _execute(options: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    """In a fork of a launcher: ``python OPTIONS`` with nothing of the launcher's open or handled."""
    _leave_files_but([])
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    atexit._clear()
    status = 1
    try:
        status = _interpret([word for word in options if word != "-u"], environment)
    finally:
        os._exit(status)


def _run(
    words: list[str],
    folder: str,
    environment: Mapping[str, str],
    out: str,
    err: str,
    stdin: Connection,
    anew: Sequence[str],
) -> NoReturn:
    """In the new process: what the interpreter does from its start to its end."""
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
    sys.stdout, sys.stderr = (open(n, "w", buffering=1, closefd=False) for n in (1, 2))  # noqa: SIM115
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
            status = exit_status(lambda: exec(what, {"__name__": "__main__"}))  # noqa: S102  as python -c does
    atexit._run_exitfuncs()
    return status
