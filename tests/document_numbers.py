"""The numbers in documents, and in the result files that the documents describe."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_GENERATED = re.compile(r"<!-- (\w+)(?:: [^>]*)? -->.*?<!-- /\1 -->", re.DOTALL)
_LEFT_OUT = re.compile(r"```.*?```|`[^`\n]*`|\]\([^)]*\)|https?://\S+|arXiv\s+\d+\.\d+|<!--.*?-->", re.DOTALL)
_NUMBER = re.compile(
    r"(?<![\w.^/-])(\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+)(e-?\d+)?(?:\s?(k|M|%|thousand|million|billion)\b|(%))?(?!\.?\w)"
)
_TARGET = re.compile(r"(?:\]\(|<!-- table: )([\w./-]+)")
_UNITS = {"k": 1e3, "M": 1e6, "thousand": 1e3, "million": 1e6, "billion": 1e9, "%": 1e-2}


@dataclass(frozen=True)
class Number:
    """A number in a document.

    Attributes:
        text: the number as it is written, with its unit.
        value: its value.
        unit: the value of one in its last digit.
    """

    text: str
    value: float
    unit: float

    def is_rounded(self, value: float) -> bool:
        """Whether a value is this number, rounded to its digits or cut after them."""
        return abs(value - self.value) <= 0.5001 * self.unit


def numbers(text: str) -> Iterator[Number]:
    """The numbers of a document outside of code, links and generated tables."""
    for found in _NUMBER.finditer(_LEFT_OUT.sub(" ", _GENERATED.sub(" ", text))):
        digits, exponent = found[1].replace(",", ""), found[2] or ""
        scale = _UNITS.get(found[3] or found[4] or "", 1.0) * float(f"1{exponent}")
        places = len(digits.partition(".")[2])
        yield Number(" ".join(found[0].split()), float(digits) * scale, 10.0**-places * scale)


def sections(text: str) -> list[str]:
    """The parts of a document that begin with a heading of the second level, and what is before them."""
    return re.split(r"^(?=## )", text, flags=re.MULTILINE)


def linked_results(section: str, folder: Path) -> list[Path]:
    """The results and configurations that a section links to, or from which its tables and plots are made.

    Args:
        section: a part of a document.
        folder: the document's folder.
    """
    links = _TARGET.findall(section)
    found = {
        (folder / (link.removesuffix(".png") + ".md" * link.endswith(".png"))).resolve() for link in links
    }
    return sorted(file for file in found if file.is_file() and _is_results(file))


def _is_results(file: Path) -> bool:
    return file.suffix == ".yaml" or ("results" in file.parts and file.suffix in (".md", ".json", ".jsonl"))


def values(file: Path) -> set[float]:
    """All numbers in a file of results, a table or a configuration."""
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".json":
        return set(_values(json.loads(text)))
    if file.suffix == ".jsonl":
        return {value for line in text.splitlines() for value in _values(json.loads(line))}
    return {
        float(one.replace(",", ""))
        for one in re.findall(r"\d[\d,]*\.?\d*(?:e-?\d+)?", text)
        if one[-1] != ","
    }


def _values(content: Any) -> Iterator[float]:
    if isinstance(content, dict):
        for value in content.values():
            yield from _values(value)
    elif isinstance(content, list):
        for value in content:
            yield from _values(value)
    elif isinstance(content, int | float) and not isinstance(content, bool):
        yield float(content)
