"""Text from result files, made safe to show in Markdown and in plots."""

import re

_MARKDOWN = re.compile(r"([\\`*<>\[\]|~$&])")


def in_markdown(text: str) -> str:
    """Printable text, escaped so that a Markdown table shows it unchanged."""
    return _MARKDOWN.sub(r"\\\1", text)


def shortened(text: str, length: int) -> str:
    """The text on one line of at most ``length`` characters; a longer text is cut in the middle."""
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    head = (length - 1) // 2
    return f"{line[:head]}…{line[len(line) - (length - 1 - head) :]}"
