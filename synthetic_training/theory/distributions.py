"""Tests the construction on non-uniform strings, for which Theorem 2.3 also holds.

=========  ====================================================================================
uniform    independent, uniform letters, as a control
zipf       independent letters; the i-th has a probability proportional to 1 / i
cycle      half of the letters are followed by the next letter of the alphabet, the rest by any
=========  ====================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthetic_training.theory.bounds import Proportion, repeated_ngram_bound
from synthetic_training.theory.tables import proportion

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

CASES = ((26, 3, 20), (26, 3, 50), (26, 4, 50), (26, 6, 50), (4, 6, 20))
"""D, n and L of the table."""

Draw = Callable[["Generator", int, int, int], "NDArray[Any]"]


def _uniform(generator: Generator, letters: int, length: int, count: int) -> NDArray[Any]:
    return generator.integers(0, letters, (count, length))


def _zipf(generator: Generator, letters: int, length: int, count: int) -> NDArray[Any]:
    import numpy as np

    weights = 1 / np.arange(1, letters + 1)
    return generator.choice(letters, (count, length), p=weights / weights.sum())


def _cycle(generator: Generator, letters: int, length: int, count: int) -> NDArray[Any]:
    strings = _uniform(generator, letters, length, count)
    follows = generator.random((count, length)) < 0.5
    for i in range(1, length):
        after = (strings[:, i - 1] + 1) % letters
        strings[:, i] = (follows[:, i] * after) + (~follows[:, i] * strings[:, i])
    return strings


DISTRIBUTIONS: Mapping[str, Draw] = {"uniform": _uniform, "zipf": _zipf, "cycle": _cycle}


def draw_strings(name: str, letters: int, length: int, count: int, seed: int) -> NDArray[Any]:
    """Random strings of a distribution, (count, length) int64, with letters 0 to ``letters`` - 1."""
    import numpy as np

    return DISTRIBUTIONS[name](np.random.Generator(np.random.PCG64(seed)), letters, length, count)


def measure(cases: Sequence[tuple[int, int, int]], strings: int, seed: int) -> list[dict[str, Any]]:
    """Copy strings of each distribution with the construction of each size, on a CPU.

    Returns:
        For each distribution and case, the ``error`` and the proportion of strings with a repeated n-gram
        (``repeated``), with standard errors; the number of wrong copies of strings without a repeated n-gram
        (``wrong_without_repeat``); and L^2 D^-n (``bound``), which is proven only for uniform strings.
    """
    import torch

    from synthetic_training.theory.construction import construct
    from synthetic_training.theory.measure import copy

    rows = []
    for letters, n, length in cases:
        model = construct(letters, n, length)
        model.set_attn_implementation("hard_alibi_split")
        for name in DISTRIBUTIONS:
            texts = torch.from_numpy(draw_strings(name, letters, length, strings, seed))
            copies = [copy(model, part, n) for part in texts.split(max(1, 2**15 // length))]
            right, repeated = (
                torch.cat([getattr(one, field) for one in copies]) for field in ("right", "repeated")
            )
            error = Proportion.of(int((~right).sum()), strings)
            repeats = Proportion.of(int(repeated.sum()), strings)
            rows.append(
                {
                    "distribution": name,
                    "letters": letters,
                    "n": n,
                    "length": length,
                    "strings": strings,
                    "error": error.mean,
                    "error_stderr": error.stderr,
                    "repeated": repeats.mean,
                    "repeated_stderr": repeats.stderr,
                    "wrong_without_repeat": int((~right & ~repeated).sum()),
                    "bound": float(repeated_ngram_bound(letters, n, length)),
                }
            )
    return rows


def distributions_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Measurements as a Markdown table."""
    from dataset_builders.markdown import markdown_table

    headers = ["strings are", "D", "n", "L", "error", "some n-gram twice", "errors without", "L^2 D^-n"]
    cells = [
        [
            row["distribution"],
            row["letters"],
            row["n"],
            row["length"],
            proportion(row["error"], row["strings"]),
            proportion(row["repeated"], row["strings"]),
            row["wrong_without_repeat"],
            f"{row['bound']:.2g}",
        ]
        for row in rows
    ]
    return markdown_table(headers, cells)
