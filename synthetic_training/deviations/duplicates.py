"""How often an n-gram occurs twice in strings of ``duplicate_ngram``, drawn in two ways.

    python -m synthetic_training.deviations.duplicates --out duplicates.json

The code released with the paper takes two n-grams at different positions of a string, which may overlap, and
replaces each occurrence of one by the other. If the two overlap or are equal, or if a later replacement
overwrites an earlier copy, the resulting string may contain no n-gram twice.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.random import Philox

from dataset_builders.checks import check_integer
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, read_json, write_json
from dataset_builders.markdown import markdown_table
from dataset_builders.string_tasks import Copy, DuplicateNgram
from dataset_builders.string_tasks.sampling import sample
from dataset_builders.string_tasks.symbols import LETTERS
from synthetic_training.figures.plan import Result
from synthetic_training.provenance import provenance

RESULTS = Path(__file__).parent / "results" / "duplicates.json"

_LENGTH = 50
"""Length in letters of the strings of the figure ``duplicates`` at the paper's size."""

_NS = (2, 3, 4, 6, 8, 10)


def released_strings(n: int, length: int, count: int, seed: int) -> Iterator[str]:
    """Strings drawn by the method of the code released with the paper, with another random generator.

    A string is redrawn if none of the n-grams to choose from occurs only once in it.
    """
    generator = random.Random(seed)
    while count:
        string = "".join(generator.choices(LETTERS, k=length))
        # the released code never chooses the last two n-grams
        grams = [string[at : at + n] for at in range(length - n - 1)]
        if 1 not in Counter(grams).values():
            continue
        kept, replaced = generator.sample(grams, 2)
        yield string.replace(replaced, kept)
        count -= 1


def our_strings(n: int, length: int, count: int, seed: int) -> Iterator[str]:
    """Strings of this project's task ``duplicate_ngram``; random ones if n is 0."""
    task = DuplicateNgram(length, length, n=n) if n else Copy(length, length)
    for row in sample(task, count, Philox(key=seed)).tokens[:, 1 : length + 1]:
        yield task.symbols.decode(row)


def measured(strings: Sequence[str], n: int) -> dict[str, Any]:
    """Fractions of strings in which an n-gram, or a longer one, occurs at least twice, or three times.

    ``by_longest_repeat`` has the fraction of strings by the letters of their longest repeat.
    """
    counts = [Counter(s[at : at + n] for at in range(len(s) - n + 1)) for s in strings]
    most = [max(count.values()) for count in counts]
    longest = [_longest_repeat(string) for string in strings]
    return {
        "none_twice": mean(one == 1 for one in most),
        "three_times": mean(one >= 3 for one in most),
        "longer_twice": mean(one > n for one in longest),
        "longest_repeat": mean(longest),
        "by_longest_repeat": {
            str(size): count / len(strings) for size, count in sorted(Counter(longest).items())
        },
    }


def _longest_repeat(string: str) -> int:
    size = 0
    while len({string[at : at + size + 1] for at in range(len(string) - size)}) < len(string) - size:
        size += 1
    return size


_SAMPLERS: Mapping[str, Callable[[int, int, int, int], Iterator[str]]] = {
    "ours": our_strings,
    "released": released_strings,
}


def measure(count: int, seed: int) -> dict[str, Any]:
    """The distribution of repeats in both kinds of strings, for each n."""
    rows = [
        {"sampler": name, "n": n, "length": _LENGTH, "strings": count, **measured(list(strings), n)}
        for n in _NS
        for name, sampler in _SAMPLERS.items()
        for strings in [sampler(n, _LENGTH, count, seed)]
    ]
    config = {"strings": count, "length": _LENGTH, "ns": list(_NS), "seed": seed}
    return {"kind": "duplicates", "config": config, "results": rows, **provenance()}


def distribution_table(content: Mapping[str, Any]) -> str:
    """Both distributions, side by side, as Markdown."""
    rows = []
    for n in content["config"]["ns"]:
        ours, released = (
            next(row for row in content["results"] if (row["sampler"], row["n"]) == (name, n))
            for name in _SAMPLERS
        )
        cells = [
            f"{row[key]:.3f}"
            for key in ("none_twice", "three_times", "longer_twice")
            for row in (ours, released)
        ]
        rows.append([str(n), *cells])
    headers = ["n"]
    for name in ("no n-gram twice", "one three times", "a longer one twice"):
        headers += [f"{name}: ours", "released"]
    return markdown_table(headers, rows)


def effect_table(results: Sequence[Result], model: str = "T_hard_alibi") -> str:
    """A model's accuracy on our strings, and its expected accuracy on the released ones, as Markdown.

    Where two n-grams overlap, the released sampler leaves a shorter repeat.

    Args:
        results: results of the figure ``duplicates`` at the paper's size.
        model: label of the model.
    """
    tests = [test for line in results if line["label"] == model for test in line["tests"]]
    plain = [test["string_accuracy"] for test in tests if test["task"] == "copy"]
    found: dict[int, list[float]] = {0: plain} if plain else {}
    for test in tests:
        if test["task"] != "copy":
            found.setdefault(test["n"], []).append(test["string_accuracy"])
    means = {n: mean(accuracies) for n, accuracies in found.items()}
    rows = []
    for row in read_json(RESULTS)["results"]:
        own = found.get(row["n"])
        if row["sampler"] == "released" and own:
            expected = expected_accuracy(row["by_longest_repeat"], means)
            rows.append([str(row["n"]), f"{mean(own):.3f}", f"{expected:.3f}", str(len(own))])
    return markdown_table(["n", "found on our strings", "expected on released strings", "seeds"], rows) + "\n"


def expected_accuracy(by_longest_repeat: Mapping[str, float], found: Mapping[int, float]) -> float:
    """The accuracy if a string is copied as often as ours with a duplicate as long as its longest repeat.

    Args:
        by_longest_repeat: fractions of strings, by the letters of their longest repeat.
        found: accuracy on our strings, by n; on plain strings for 0. It is interpolated between these; longer
            repeats have that of the longest.
    """
    lengths = sorted(found)
    copied = np.interp([int(size) for size in by_longest_repeat], lengths, [found[n] for n in lengths])
    return float(copied @ [*by_longest_repeat.values()])


def _measure(out: Path, strings: int = 10_000, seed: int = 0) -> None:
    """Measure how often n-grams repeat in strings with a duplicate, drawn in two ways.

    Args:
        out: JSON file for the results; it must not exist.
        strings: Number of strings per sampler and n.
        seed: Random seed of the strings.
    """
    check_integer("strings", strings, 1)
    check_integer("seed", seed, 0)
    check_new_file(out)
    content = measure(strings, seed)
    write_json(out, content)
    print(f"{distribution_table(content)}\n\nwritten: {out}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. For invalid input, print one sentence and exit with status 1."""
    with command_errors():
        cli(_measure, prog="python -m synthetic_training.deviations.duplicates", args=arguments)


if __name__ == "__main__":
    main()
