"""Defaults in the help texts of commands."""

import tyro


def default_hint(default: str) -> str:
    """``(default: ...)``; empty if the default is no value, which the argument's own text then explains."""
    return "" if default in ("None", "") else f"(default: {default})"


DEFAULT_IN_TEXT = tyro.conf.arg(help_behavior_hint=default_hint)
"""Annotation of an argument whose text explains the default, so that ``(default: None)`` is not added."""
