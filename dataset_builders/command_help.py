"""Defaults in the help texts of commands."""

import tyro


def default_hint(default: str) -> str:
    """The text ``(default: ...)``; empty for an argument without a value, whose own text explains this."""
    return "" if default in ("None", "") else f"(default: {default})"


DEFAULT_IN_TEXT = tyro.conf.arg(help_behavior_hint=default_hint)
"""Annotation of an argument whose text explains the default, so that ``(default: None)`` is not added."""
