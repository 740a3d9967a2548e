"""Error handling of all commands of the project: errors end in one sentence and an exit status."""

import errno
import os
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

from dataset_builders.checks import did_you_mean, printable, shortened
from dataset_builders.errors import InputError
from dataset_builders.interruption import Interrupted

INTERRUPTED = 128 + 2
"""Exit status after Ctrl-C, as in shells."""

_MOST_SHOWN = 4000
"""Maximum length of a message in characters; only values from files make messages longer."""

BROKEN_PIPE = 128 + 13
"""Exit status of a program whose output is no longer read, e.g. because ``head`` has ended."""


T = TypeVar("T")

_unreported: list[str] = []


def error_message(error: InputError) -> str | None:
    """The message about invalid input; None in every process of a distributed run except the first.

    The others keep it for ``unreported``.
    """
    message = printable(str(error))  # file names, and names in files, may contain control characters
    message = f"error: {message if len(message) <= _MOST_SHOWN else shortened(message, _MOST_SHOWN)}"
    if os.environ.get("RANK", "0") == "0":
        return message
    _unreported[:] = [message]
    return None


def unreported() -> list[str]:
    """The message of this process, if it was left to the first process of the run to report it."""
    return _unreported


def interrupt_quietly() -> None:
    """Let Ctrl-C end the process without a traceback, even outside of :func:`command_errors`.

    This is for modules whose imports take seconds before their command begins. Python then ends the process
    by the signal, which shells show as status 130.
    """
    if not isinstance(sys.excepthook, _QuietHook):
        sys.excepthook = _QuietHook(sys.excepthook)


class _QuietHook:
    """A ``sys.excepthook`` that prints one word after Ctrl-C; the previous hook handles other exceptions."""

    def __init__(self, previous: Callable[..., object]) -> None:
        self._previous = previous

    def __call__(
        self, kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("interrupted", file=sys.stderr)
        else:
            self._previous(kind, error, traceback)


@contextmanager
def command_errors(interrupted: str = "interrupted") -> Iterator[None]:
    """Turn invalid input, Ctrl-C and a closed output into a one-sentence message and an exit status.

    Invalid input exits with status 1 and ``error: ...`` on standard error. In a distributed run, only the
    first process prints. Work that saves its state when interrupted exits with its own message and status.

    Args:
        interrupted: message printed after Ctrl-C.

    Raises:
        SystemExit: the command did not succeed.
    """
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:  # it is None if the shell has closed it, as with >&-
                sys.stdout.flush()
    except InputError as error:
        sys.exit(error_message(error) or 1)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        sys.exit(stop.status)
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        _discard_output()
        sys.exit(BROKEN_PIPE)
    except OSError as error:
        reason = _reason(error)
        if reason is None:
            raise
        if error.filename is None:
            _discard_output()
        sys.exit(error_message(InputError(reason)) or 1)


def _reason(error: OSError) -> str | None:
    """The message for a system error that no command handles itself; None if the error is a bug."""
    # pathlib raises this instead of reporting that there is no such file
    if error.errno == errno.ENAMETOOLONG:
        return f"the name {str(error.filename)[:40]!r}... is too long"
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO):
        return f"the output cannot be written: {error.strerror}"
    return None


def _discard_output() -> None:
    """Discard further standard output: Python flushes it at exit, and would report an error."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def check_command(
    words: Sequence[str],
    commands: Collection[str],
    what: str = "command",
    *,
    repeatable: Collection[str] = (),
) -> None:
    """Check that the first word, unless it is an option, is a command, and that no option is repeated.

    Given an unknown command, tyro would report the options after it instead.

    Args:
        words: the command line.
        commands: names of the commands.
        what: word for a command in the message.
        repeatable: options that may be given several times.

    Raises:
        InputError: there is no such command, or an option is given twice.
    """
    name = words[0] if words else "-"
    known = {one.replace("-", "_") for one in commands}
    if not name.startswith("-") and name.replace("-", "_") not in known:
        hint = did_you_mean(name, commands)
        raise InputError(f"there is no {what} {name!r}; the {what}s are {', '.join(commands)}{hint}")
    _check_given_once(words, repeatable)


def cli(
    command: Callable[..., T], *, args: Sequence[str] | None = None, prog: str | None = None, **options: Any
) -> T:
    """Call a function or a dataclass with the command line's values, like ``tyro.cli``.

    Raises:
        InputError: an option is given twice.
    """
    import tyro

    words = sys.argv[1:] if args is None else list(args)
    _check_given_once(words)
    return tyro.cli(command, args=words, prog=prog, **options)


def _check_given_once(words: Sequence[str], repeatable: Collection[str] = ()) -> None:
    """Raise InputError if an option is repeated, because tyro would silently drop the first values."""
    options = Counter(word.split("=")[0].replace("_", "-") for word in words if word.startswith("--"))
    twice = next(
        (option for option, count in options.items() if count > 1 and option not in repeatable), None
    )
    if twice is not None:
        raise InputError(
            f"{twice} is given twice, and only the last one would count; pass it once, with all its values"
        )
