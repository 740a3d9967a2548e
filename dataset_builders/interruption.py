"""Ends a run after its current step on Ctrl-C, SIGTERM or the end of its time limit."""

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended the work, and everything done so far is saved.

    Args:
        message: message that says what is saved and how to continue.
        number: number of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number
        self.status = 128 + number
        """Exit status, by the convention of shells: 130 after Ctrl-C, 143 after SIGTERM."""


class TimeLimitReached(Interrupted):
    """The user's time limit is reached, and everything done so far is saved.

    Args:
        message: message that says what is saved and how to continue.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.status = 124
        """Exit status, as that of the command ``timeout``."""


def interrupt_on_sigterm() -> None:
    """Let SIGTERM end a command as Ctrl-C does: it raises :class:`Interrupted` in the main thread."""
    signal.signal(signal.SIGTERM, _terminate)


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise Interrupted("terminated", number)


class StopSignals:
    """Records the first signal within a ``with`` block instead of acting on it.

    Args:
        insist: whether a second signal acts as usual. Pass False under a launcher, which forwards signals
            that its processes have already received.

    Attributes:
        received: number of the signal, or 0.
    """

    def __init__(self, *, insist: bool) -> None:
        self.received = 0
        self._insist = insist
        self._before: dict[int, Callable[[int, FrameType | None], Any] | int | None] = {}

    def __enter__(self) -> "StopSignals":
        # Python handles signals only in its main thread
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore()

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.received = self.received or number
        if self._insist:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
