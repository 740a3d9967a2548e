"""Compares the paper's claims with the results of the figures.

    python -m synthetic_training.figures.claims RESULTS --out claims.md

A claim without results names the figure that is missing. Numbers are means over seeds. Training examples are
those until half of the strings are copied correctly, relative to RoPE, by string length.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Annotated

import tyro

from dataset_builders import InputError
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_text
from dataset_builders.markdown import markdown_table
from synthetic_training.figures.examples_by_length import BASE, factor, needed
from synthetic_training.figures.plan import Result
from synthetic_training.figures.results import read_results
from synthetic_training.figures.summary import by_test

Results = Mapping[str, Sequence[Result]]
"""Results by figure and scale, such as ``efficiency_50_paper``; files without results are missing."""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        about: the claim in a few words.
        paper: what the paper says.
        figure: name of the figure that tests it.
        found: what the results say; None without results.
    """

    about: str
    paper: str
    figure: str
    found: Callable[[Results], str | None]


_SEEDS = 3
"""Seeds of a figure at the paper's size."""


def _few(*counts: int) -> str:
    """The number of seeds, as the end of a cell; empty if there are as many as planned."""
    seeds = min(counts)
    return "" if seeds >= _SEEDS else f" ({seeds} {'seed' if seeds == 1 else 'seeds'})"


def _seeds(results: Results, stem: str, label: str) -> int:
    return len({result["seed"] for result in results[stem] if result["label"] == label})


def accuracy(results: Results, stem: str, label: str, test: str, length: int) -> float | None:
    """Mean string accuracy over seeds in a test; None without results."""
    own = [result for result in results.get(stem, ()) if result["label"] == label]
    scores = [by_test(result).get(test, {}) for result in own]
    values = [one[length] for one in scores if length in one]
    return mean(values) if values else None


def _lengths(label: str, *lengths: int) -> Callable[[Results], str | None]:
    """A function that finds a model's accuracy at these lengths in the results of length_generalization."""

    stem = "length_generalization_paper"

    def found(results: Results) -> str | None:
        parts = []
        for length in lengths:
            value = accuracy(results, stem, label, "copy", length)
            if value is None:
                return None
            parts.append(f"{value:.3f} at {length}")
        return ", ".join(parts) + _few(_seeds(results, stem, label))

    return found


def _factors(label: str) -> Callable[[Results], str | None]:
    """A function that finds a model's training examples relative to RoPE's, at each length with results.

    They are unknown where RoPE itself did not learn on every seed.
    """

    def found(results: Results) -> str | None:
        lines = _efficiency(results)
        models = needed(lines, 0.5) if lines else {}
        if label not in models or BASE not in models:
            return None
        parts = []
        for length, one in sorted(models[label].items()):
            base = models[BASE].get(length)
            if base is not None:
                ratio = factor(one, base)
                text = f"{'more than ' * ratio.is_bound}{ratio.value:.1f}" if ratio else "unknown"
                parts.append(f"{text} at {length}{_few(one.seeds, base.seeds)}")
        return ", ".join(parts) or None

    return found


def _efficiency(results: Results) -> list[Result]:
    """The results of efficiency at the paper's size.

    A model without runs in efficiency_300 has those of efficiency, with the same settings but fewer steps.
    """
    lines = [one for length in (50, 100, 300) for one in results.get(f"efficiency_{length}_paper", ())]
    long = {one["label"] for one in results.get("efficiency_300_paper", ())}
    return lines + [one for one in results.get("efficiency_paper", ()) if one["label"] not in long]


def _lookup(task: str) -> Callable[[Results], str | None]:
    """A function that finds the accuracy of RoPE and Mamba in n-gram lookup, by length."""

    stem, labels = "ngram_lookup_by_length_paper", ("T_rope", "mamba")

    def found(results: Results) -> str | None:
        parts = []
        for length in (40, 100):
            rope, mamba = (accuracy(results, stem, label, f"{task}, n = 3", length) for label in labels)
            if rope is None or mamba is None:
                return None
            parts.append(f"RoPE {rope:.3f}, Mamba {mamba:.3f} at {length}")
        return "; ".join(parts) + _few(*(_seeds(results, stem, label) for label in labels))

    return found


def _duplicates(results: Results) -> str | None:
    parts = []
    for n in (2, 10):
        test = f"duplicate_ngram, n = {n}"
        value = accuracy(results, "duplicates_paper", "T_hard_alibi", test, 50)
        if value is None:
            return None
        parts.append(f"{value:.3f} with {n} letters twice")
    return ", ".join(parts) + _few(_seeds(results, "duplicates_paper", "T_hard_alibi"))


_COPY, _LOOKUP = "length_generalization", "ngram_lookup_by_length"
_EXAMPLES = "efficiency_50, efficiency_100, efficiency_300"

CLAIMS = (
    Claim("Mamba's examples", "a hundred times those of transformers", _EXAMPLES, _factors("mamba")),
    Claim("Mamba's, authors' weights", "the same", _EXAMPLES, _factors("mamba_authors")),
    Claim("The LSTM's examples", "it does not learn to copy 300 letters", _EXAMPLES, _factors("lstm")),
    Claim("RoPE by length", "fails beyond the training length", _COPY, _lengths("T_rope", 50, 75, 100)),
    Claim("NoPE by length", "holds to about twice the training length", _COPY, _lengths("T_nope", 75, 100)),
    Claim("ALiBi by length", "holds to about twice the training length", _COPY, _lengths("T_alibi", 75, 100)),
    Claim("Hard-ALiBi by length", "holds to 1000", _COPY, _lengths("T_hard_alibi", 100, 300, 1000)),
    Claim("Mamba by length", "fails soon after 50", _COPY, _lengths("mamba", 50, 75, 100)),
    Claim("n-gram lookup, key first", "Mamba does well", _LOOKUP, _lookup("prefix_ngram")),
    Claim("n-gram lookup, key last", "transformers do well", _LOOKUP, _lookup("suffix_ngram")),
    Claim("Hard-ALiBi looks up n-grams", "a repeat makes it err", "duplicates", _duplicates),
)


def table(results: Results) -> str:
    """Table of the claims and the corresponding results, as Markdown."""
    rows = []
    for claim in CLAIMS:
        missing = f"not run yet: {claim.figure}"
        rows.append([claim.about, claim.paper, claim.found(results) or missing])
    return markdown_table(["claim", "the paper", "found"], rows) + "\n"


def read_folder(folder: Path) -> Results:
    """The results of the figures in a folder at the paper's size, by figure and scale.

    Raises:
        InputError: the path is not a folder, or a file is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; pass one with results of reproduce")
    return {file.stem: read_results(file) for file in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    names = [name for claim in CLAIMS for name in claim.figure.split(", ")]
    for figure in dict.fromkeys([*names, "efficiency"]):
        file = folder / f"{figure}_paper.jsonl"
        if file.is_file():
            yield file


def _write(folder: Annotated[Path, tyro.conf.Positional], out: Path | None = None) -> None:
    """Print the paper's claims next to the corresponding results.

    Args:
        folder: Folder with results of reproduce.
        out: Markdown file for the table; it must not exist.
    """
    if out is not None:
        check_new_file(out)
    text = table(read_folder(folder))
    if out is not None:
        write_text(out, text)
    print(text)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the folder on the command line."""
    with command_errors():
        cli(_write, prog="python -m synthetic_training.figures.claims", args=arguments)


if __name__ == "__main__":
    main()
