"""The exception for invalid user input."""


class InputError(ValueError):
    """Invalid user input; the message names the value and says what is allowed.

    Commands of this project print only the message and exit with status 1.
    """
