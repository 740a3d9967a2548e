"""How defaults are shown in the help texts of commands."""

import tyro


def default_hint(default: str) -> str:
    """``(default: ...)``; nothing for an argument without a value, if its text says what this means."""
    return "" if default in ("None", "") else f"(default: {default})"


DEFAULT_IN_TEXT = tyro.conf.arg(help_behavior_hint=default_hint)
"""Marks an argument whose text says what happens without it, so that ``(default: None)`` is not added."""
