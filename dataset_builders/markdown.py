"""Tables in Markdown."""

from collections.abc import Sequence

from tabulate import tabulate


def markdown_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table in GitHub's Markdown, whose cells are not formatted further."""
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
