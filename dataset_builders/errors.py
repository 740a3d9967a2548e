"""The one exception for a slip in what a user asked for."""


class InputError(ValueError, SystemExit):
    """What was asked for cannot be done; the message names the value and what would do.

    It is a ``ValueError``, so that callers in Python catch it like any other. It is a ``SystemExit``
    too, so that a command of ours or of lm-eval that it ends prints the message alone, without a
    traceback, and exits with status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message
