"""The tables of the construction's measurements and of its sizes, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from dataset_builders.intervals import wilson_interval
from synthetic_training.theory.design import Design
from synthetic_training.theory.measure import ALPHABETS, LONGEST, NS


def as_table(measurements: Sequence[dict[str, Any]]) -> str:
    """Measurements as a Markdown table."""
    from dataset_builders.markdown import markdown_table

    headers = [
        "D",
        "n",
        "D^n",
        "L",
        "strings",
        "error",
        "some n-gram twice",
        "L^2 D^-n",
        "errors without",
        "made without: errors",
    ]
    rows = [
        [
            row["letters"],
            row["n"],
            row["letters"] ** row["n"],
            f"{row['length']}{' (> D^n)' if row['beyond'] else ''}",
            row["strings"],
            proportion(row["error"], row["strings"]),
            proportion(row["repeated"], row["strings"]),
            f"{row['bound']:.2g}",
            row["wrong_without_repeat"],
            f"{row['unrepeated_wrong']} of {row['unrepeated']}" if row["unrepeated"] else "-",
        ]
        for row in measurements
    ]
    return markdown_table(headers, rows)


def proportion(mean: float, strings: int) -> str:
    """A proportion of strings and its 95% interval (Wilson): ``0.0000 [0.0000, 0.0004]``."""
    low, high = wilson_interval(mean, strings)
    return f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def dimensions_table() -> str:
    """The construction's sizes compared with n log2 D, as a Markdown table."""
    from dataset_builders.markdown import markdown_table

    headers = ["D", "n", "n log2 D", "dimension", "hidden_size", "t", "beta at L = 2000"]
    designs = [Design(letters, n) for letters in ALPHABETS for n in NS]
    rows = [
        [
            d.letters,
            d.n,
            f"{d.n * math.log2(d.letters):.1f}",
            d.dimension,
            d.hidden_size,
            d.marker,
            f"{d.inverse_temperature(LONGEST):g}",
        ]
        for d in designs
    ]
    return markdown_table(headers, rows)
