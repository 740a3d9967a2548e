"""The table of the construction, and that of its sizes, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from synthetic_training.theory.design import Design
from synthetic_training.theory.measure import ALPHABETS, LONGEST, NS


def as_table(lines: Sequence[dict[str, Any]]) -> str:
    """Lines as a Markdown table."""
    from tabulate import tabulate

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
            line["letters"],
            line["n"],
            line["letters"] ** line["n"],
            f"{line['length']}{' (> D^n)' if line['beyond'] else ''}",
            line["strings"],
            f"{line['error']:.4f} ± {line['error_stderr']:.4f}",
            f"{line['repeated']:.4f} ± {line['repeated_stderr']:.4f}",
            f"{line['bound']:.2g}",
            line["wrong_without_repeat"],
            f"{line['unrepeated_wrong']} of {line['unrepeated']}" if line["unrepeated"] else "-",
        ]
        for line in lines
    ]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def dimensions_table() -> str:
    """The construction's sizes beside n log2 D, as a Markdown table."""
    from tabulate import tabulate

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
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)
