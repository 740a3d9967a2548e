"""Text from result files, made safe to print in a terminal and in Markdown."""

import re

_MARKDOWN = re.compile(r"([\\`*<>\[\]|~$&])")


def printable(text: str) -> str:
    r"""The text with every character that is not printable written as an escape, such as ``\x1b``.

    Control characters, line breaks, marks that change the direction of writing and halves of surrogate
    pairs are all replaced, so that the result is one line and nothing in it acts on a terminal.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


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
