"""The exception for invalid user input."""


class InputError(ValueError):
    """Something a user asked for cannot be done; the message names the value and says what would work.

    Commands of this project print the message alone and exit with status 1.
    """
