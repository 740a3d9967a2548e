"""The bounds, the construction of the transformer, tables of its errors, and the figure."""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from dataset_builders.command_line import check_command, command_errors

_CPU_PAIRS = 2 * 10**9


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command. For invalid input, print one sentence and exit with status 1."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    with command_errors():
        commands: dict[str, Callable[..., Any]] = {
            "bounds": _bounds,
            "construction": _construction,
            "table": _table,
            "distributions": _distributions,
            "figure": _figure,
        }
        check_command(words, commands)
        tyro.extras.subcommand_cli_from_dict(
            commands,
            prog="python -m synthetic_training.theory",
            description=__doc__,
            args=words,
        )


def _bounds(bits: int, letters: int, length: int, n: int = 4, error: float = 0.01) -> None:
    """Print the values of Lemma 2.4, Corollaries 2.5 and 2.8 and Theorem 2.7 for given sizes.

    Args:
        bits: Size of a model's state in bits.
        letters: D, number of letters in the alphabet.
        length: L, length of the strings in letters.
        n: Length of the n-grams of Lemma 2.4 in letters.
        error: Maximum error of the transformer in Corollary 2.5.
    """
    from synthetic_training.theory.report import bounds_text

    print(bounds_text(bits, letters, length, n, error))


def _construction(letters: int, n: int, out: Path, length: int = 1000) -> None:
    """Construct the transformer of Theorem 2.3, and save it as a checkpoint.

    Args:
        letters: D, number of letters in the alphabet, 2 to 26.
        n: Length of the n-grams in letters.
        out: Folder for the checkpoint; it must not exist.
        length: L, length of the longest string in letters.
    """
    from transformers.utils import logging as transformers_logging

    from synthetic_training.theory.construction import save

    transformers_logging.disable_progress_bar()
    made = save(out, letters, n, length)
    print(f"saved: {out}")
    print(f"dimension: {made['dimension']} numbers in use; n ceil(log2 D) is {made['n_times_bits']}")
    print(f"hidden_size: {made['hidden_size']}, in {made['heads']} heads")
    print(f"inverse temperature: {made['inverse_temperature']:g}, for strings of {made['length']} letters")
    for dtype, proven in made["proven_length"].items():
        print(f"proven to suffice in {dtype}: " + (f"up to L = {proven:,}" if proven else "at no length"))


def _table(
    out: Path,
    strings: int = 10_000,
    longest: int = 2000,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    seed: int = 0,
) -> None:
    """Measure the construction on random strings of many lengths.

    Args:
        out: Folder for construction.json and construction.md; it must not contain them.
        strings: Number of random strings per size.
        longest: Length of the longest string in letters.
        device: Device on which the model runs; auto uses a GPU if there is one.
        seed: Random seed of the strings.
    """
    from dataset_builders.checks import check_integer
    from dataset_builders.files import check_new_file, write_json, write_text
    from synthetic_training.memory import enough_memory
    from synthetic_training.provenance import provenance
    from synthetic_training.theory.measure import as_dicts, measure, sizes
    from synthetic_training.theory.tables import as_table, dimensions_table
    from synthetic_training.training.device import resolve_device

    check_integer("strings", strings, 1)
    check_integer("longest", longest, 12)
    files = [out / f"construction.{kind}" for kind in ("json", "md")]
    for file in files:
        check_new_file(file)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    found = resolve_device(device)
    pairs = None if found == "cuda" else _CPU_PAIRS
    with enough_memory("reduce --longest, or pass --device cpu"):
        rows = as_dicts(measure(list(sizes(longest)), strings, found, seed, most_pairs=pairs))
    options = {"strings": strings, "longest": longest, "seed": seed}
    text = f"{dimensions_table()}\n\n{as_table(rows)}\n"
    content = {"kind": "construction", "config": {**options, "device": found}, "results": rows}
    write_json(files[0], {**content, **provenance()})
    write_text(files[1], text)
    print(text)
    print("written: " + ", ".join(map(str, files)))


def _distributions(out: Path, strings: int = 500, seed: int = 0) -> None:
    """Measure the construction on strings whose letters are not uniform.

    Args:
        out: JSON file for the results; it must not exist.
        strings: Number of random strings per distribution and size.
        seed: Random seed of the strings.
    """
    from dataset_builders.checks import check_integer
    from dataset_builders.files import check_new_file, write_json
    from synthetic_training.provenance import provenance
    from synthetic_training.theory.distributions import CASES, distributions_table, measure

    check_integer("strings", strings, 1)
    check_integer("seed", seed, 0)
    check_new_file(out)
    rows = measure(CASES, strings, seed)
    config = {"strings": strings, "seed": seed}
    write_json(out, {"kind": "distributions", "config": config, "results": rows, **provenance()})
    print(f"{distributions_table(rows)}\n\nwritten: {out}")


def _figure(
    results: Annotated[tuple[Path, ...], tyro.conf.Positional],
    out: Path,
    n: int = 4,
    trust_remote_code: bool = False,
) -> None:
    """Plot measured accuracy and state size with the theory's bounds.

    Args:
        results: Files written by evaluate --out.
        out: Folder for the plots.
        n: Length of the n-grams of the plotted construction.
        trust_remote_code: Run the Python code in the folders of the models.
    """
    from dataset_builders.checks import check_integer
    from synthetic_training.theory.figure import draw

    check_integer("n", n, 1)
    print("plotted: " + ", ".join(map(str, draw(results, out, n, trust_remote_code=trust_remote_code))))


if __name__ == "__main__":
    main()
