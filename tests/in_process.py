"""Runs ``python -m MODULE ...`` in this process, which is seconds faster than a new process."""

import io
import logging
import runpy
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import lm_eval.utils


def run_module(module: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a module as the main program, like the interpreter.

    An exception is passed to ``sys.excepthook``, and the status is 1. lm-eval's log is part of the output.
    """
    command = [module, *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    log = logging.getLogger("lm_eval")
    lm_eval.utils.warning_once.cache_clear()
    with (
        mock.patch.object(sys, "argv", command),
        mock.patch.object(sys, "excepthook", sys.__excepthook__),
        mock.patch.object(lm_eval.utils, "_LOGGING_CONFIGURED", False),
        mock.patch.multiple(log, handlers=[], propagate=False, level=log.level),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        status = exit_status(lambda: runpy.run_module(module, run_name="__main__"))
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def exit_status(main: Callable[[], object]) -> int:
    """The exit status that a process would have; its last message is printed."""
    try:
        main()
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return stop.code or 0
    except Exception as error:  # noqa: BLE001  as the interpreter does
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0
