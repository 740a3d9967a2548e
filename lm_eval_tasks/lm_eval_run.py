"""Information about the running evaluation that a task needs and lm-eval does not pass to it.

lm-eval merges ``--model_args`` into ``--metadata`` before a task sees either, and it gives a task neither the
model nor its arguments: ``Task.download`` and ``Task.build_all_requests`` do not receive them, the task
manager has only the merged dictionary, and no registry or logger refers to the run. Without this information,
misspelt metadata keys and truncated prompts would go unnoticed. The arguments are in the frames of the calls
that lead to the task, so this module reads them from the stack. No other module of the project does this.

Outside a run, every function returns None, for example if a user's own ``TaskManager`` loads a task in a
notebook or a test. If the frames of a run are not as expected, an :class:`~dataset_builders.InputError` names
the installed and the supported versions of lm-eval.
"""

import inspect
import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from dataset_builders import InputError
from dataset_builders.command_line import error_message
from dataset_builders.extras import supported_versions
from lm_eval_tasks.server_errors import is_server_error, sent_token_ids, server_error

if TYPE_CHECKING:
    from lm_eval.api.model import LM

_EVALUATOR = "lm_eval.evaluator"
_COMMAND = "lm_eval.__main__"
_TASK_PACKAGES = ("lm_eval.tasks", "lm_eval.api")
"""The modules of lm-eval that build tasks, within and outside a run."""


def run_metadata() -> Mapping[str, Any] | None:
    """The user's metadata, without the model's arguments; None outside a run.

    For the ``lm_eval`` command, this is ``--metadata`` (or ``metadata:`` in the file of ``--config``). From
    Python, it is ``metadata=`` of ``simple_evaluate``, which lm-eval itself would ignore, together with the
    metadata of the ``TaskManager`` that was passed to it.

    Raises:
        InputError: ``metadata=`` and the ``TaskManager`` disagree, or this lm-eval is not supported.
    """
    call = _evaluator_call("simple_evaluate")
    if call is None:
        return None
    options = _command_options()
    if options is not None:
        return options
    given = _dictionary(call.get("metadata"))
    of_the_manager = _dictionary(getattr(call.get("task_manager"), "metadata", None))
    for key in given.keys() & of_the_manager.keys():
        if given[key] != of_the_manager[key]:
            raise InputError(
                f"metadata key {key!r} is {given[key]!r} in metadata= and {of_the_manager[key]!r} in the "
                "TaskManager; set it in one of them"
            )
    return {**of_the_manager, **given}


def model_arguments() -> Mapping[str, Any] | None:
    """The run's ``--model_args``, empty if the caller built the model; None outside a run.

    Raises:
        InputError: this lm-eval is not supported.
    """
    call = _evaluator_call("simple_evaluate")
    return None if call is None else _dictionary(call.get("model_args"))


def running_model() -> "LM | None":
    """The evaluated model, without its response cache; None outside a run.

    It is known when requests are built, but not while tasks are loaded.

    Raises:
        InputError: this lm-eval is not supported.
    """
    call = _evaluator_call("evaluate")
    if call is None:
        return None
    from lm_eval.api.model import CachingLM

    model = call["lm"]
    return model.lm if isinstance(model, CachingLM) else model


def print_input_errors_as_sentences() -> None:
    """Let the ``lm_eval`` command print one sentence about invalid input, and exit with status 1.

    The same holds for a request that a model's server did not answer.
    The command does not catch exceptions, so this sets ``sys.excepthook``, but only if it is called from the
    command's main program. Nothing changes under ``simple_evaluate``.
    """
    if _is_command() and not isinstance(sys.excepthook, _SentenceHook):
        sys.excepthook = _SentenceHook(sys.excepthook)


class _SentenceHook:
    """A ``sys.excepthook`` that prints an InputError or a server's error as one sentence.

    The previous hook handles the rest.
    """

    def __init__(self, previous: Any) -> None:
        self._previous = previous

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if is_server_error(error):
            print(file=sys.stderr)  # ends the line of lm-eval's progress bar
            advice = "with --use_cache FILE, the next run does not repeat requests that were answered"
            if sent_token_ids(error):
                advice = f"if it accepts only text, pass tokenized_requests=False in --model_args; {advice}"
            error = InputError(
                f"the model's server did not answer a request: {server_error(error).rstrip('.')}; {advice}"
            )
        if isinstance(error, InputError):
            message = error_message(error)
            if message:
                print(message, file=sys.stderr)
        else:
            self._previous(kind, error, traceback)


def _stack() -> Iterator[FrameType]:
    """The frames of the calling functions, innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    """The name of a frame's module, even if it runs as the main program."""
    name = frame.f_globals.get("__name__", "")
    spec = frame.f_globals.get("__spec__")
    return spec.name if name == "__main__" and spec is not None else name


def _evaluator_call(function: str) -> Mapping[str, Any] | None:
    """The arguments of the nearest call of a function of ``lm_eval.evaluator``; None outside a run.

    They are read from the decorator's frame, in which lm-eval does not reassign them.
    """
    in_a_run = False
    for frame in _stack():
        module = _module(frame)
        if module == "lm_eval.utils" and {"fn", "args", "kwargs"} <= set(frame.f_locals):
            wrapped, args, kwargs = (frame.f_locals[name] for name in ("fn", "args", "kwargs"))
            if wrapped.__module__ == _EVALUATOR and wrapped.__name__ == function:
                return inspect.signature(wrapped).bind(*args, **kwargs).arguments
        in_a_run |= module.split(".")[0] == "lm_eval" and not module.startswith(_TASK_PACKAGES)
    if in_a_run:
        _refuse_this_lm_eval(function)
    return None


def _command_options() -> Mapping[str, Any] | None:
    """``--metadata`` of the ``lm_eval`` command; None if the run was not started by it."""
    for frame in _stack():
        if _module(frame) == "lm_eval._cli.run" and frame.f_code.co_name == "_execute":
            break
    else:
        return None
    options = frame.f_locals.get("args")
    if not isinstance(options, Namespace) or not options.__dict__.keys() >= {"metadata", "config"}:
        _refuse_this_lm_eval("the command")
    if options.metadata or not options.config:
        return _dictionary(options.metadata)
    from lm_eval.config.evaluate_config import EvaluatorConfig

    return _dictionary(EvaluatorConfig.load_yaml_config(options.config).get("metadata"))


def _is_command() -> bool:
    """Whether the process's main program is lm-eval's command line, and this function was called from it."""
    return any(
        frame.f_code.co_name == "cli_evaluate"
        and _module(frame) == _COMMAND
        and frame.f_back is not None
        and frame.f_back.f_globals.get("__name__") == "__main__"
        for frame in _stack()
    )


def _dictionary(value: object) -> Mapping[str, Any]:
    """Arguments as a dictionary, from any form that lm-eval accepts."""
    if isinstance(value, str):
        from lm_eval.utils import simple_parse_args_string

        return simple_parse_args_string(value)
    return value if isinstance(value, Mapping) else {}


def _refuse_this_lm_eval(sought: str) -> NoReturn:
    raise InputError(
        f"lm-eval {version('lm-eval')} is not supported: the arguments of {sought} are not where these tasks "
        f"expect them; install a supported version: pip install 'lm-eval{supported_versions('lm-eval')}'"
    )
