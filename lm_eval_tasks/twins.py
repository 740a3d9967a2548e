"""Names of twins: tasks that score given answers to the documents of a task that generates answers.

``phone_book_20_forced`` scores the correct answer in one pass. ``phone_book_20_gain`` measures how much the
queried entry adds to the answer's log-probability: it scores the answer with and without that entry.
"""

FORCED = "_forced"

GAIN = "_gain"

TWINS = (FORCED, GAIN)


def twin_of(name: str) -> str:
    """The suffix in a task's or benchmark's name that identifies the twin; empty for generated answers."""
    return next((twin for twin in TWINS if name.endswith(twin)), "")


def without_twin(name: str) -> str:
    """The name of the task that generates answers to the same documents."""
    return name.removesuffix(twin_of(name))
