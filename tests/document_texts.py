"""The texts of training documents, and a plain parser of phone books."""

import re


def text_of(pieces: list[tuple[str, bool]]) -> str:
    return "".join(text for text, _ in pieces)


def as_benchmark(text: str) -> str:
    """A document with two examples, in the benchmark's form, after checking each queried number."""
    book, examples, query = text.split("\n\n")
    entries = dict(line.split(": ") for line in book.split("\n"))
    assert len(entries) == len(book.split("\n")) >= 3
    assert all(re.fullmatch(r"[A-Z][a-z]+ [A-Z][a-z]+", name) for name in entries)
    assert all(re.fullmatch(r"[6-9][0-9]{9}", digits) for digits in entries.values())
    asked = [*examples.split("\n"), query[:-1]]
    assert query.endswith("\n") and len(set(asked)) == len(asked) >= 3
    assert all(entries[line.split(": ")[0]] == line.split(": ")[1] for line in asked)
    return "\n\n".join([book, examples, query.split(": ")[0] + ":"])
