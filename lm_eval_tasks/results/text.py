"""Text from result files, made safe to show in Markdown and in plots."""

import re

_MARKDOWN = re.compile(r"([\\`*<>\[\]|~$&])")


def in_markdown(text: str) -> str:
    """Printable text, escaped so that a Markdown table shows it unchanged."""
    return _MARKDOWN.sub(r"\\\1", text)
