"""``python -m synthetic_training.theory``: the construction as a checkpoint, its table, and the figure."""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from dataset_builders import InputError
from dataset_builders.command_line import command_errors

_RESULTS = Path(__file__).parent / "results"
_CPU_PAIRS = 2 * 10**9


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; invalid input ends with one sentence and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m synthetic_training.theory", description=__doc__)
    commands = parser.add_subparsers(required=True)

    construction = commands.add_parser("construction", help="save Theorem 2.3's transformer")
    construction.add_argument(
        "--letters", type=int, required=True, help="D, number of letters in the alphabet, 2 to 26"
    )
    construction.add_argument("--n", type=int, required=True, help="length of the n-grams in letters")
    construction.add_argument(
        "--length", type=int, default=1000, help="L, length of the longest string in letters (1000)"
    )
    construction.add_argument("--out", type=Path, required=True, help="a new folder")
    construction.set_defaults(run=_construction)

    table = commands.add_parser("table", help="measure the construction on random strings of many lengths")
    table.add_argument(
        "--strings", type=int, default=10_000, help="number of random strings per size (10000)"
    )
    table.add_argument(
        "--longest", type=int, default=2000, help="length of the longest string in letters (2000)"
    )
    table.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    table.add_argument("--seed", type=int, default=0)
    table.add_argument(
        "--out", type=Path, default=_RESULTS, help="folder for construction.json and construction.md"
    )
    table.set_defaults(run=_table)

    figure = commands.add_parser(
        "figure", help="plot measured accuracy and state with the bounds of the theory"
    )
    figure.add_argument("results", type=Path, nargs="+", help="files written by evaluate --out")
    figure.add_argument(
        "--n", type=int, default=4, help="length of the n-grams of the plotted construction (4)"
    )
    figure.add_argument("--out", type=Path, required=True, help="folder for the plots")
    figure.set_defaults(run=_figure)

    settings = parser.parse_args(arguments)
    with command_errors():
        settings.run(settings)


def _construction(settings: argparse.Namespace) -> None:
    from transformers.utils import logging as transformers_logging

    from synthetic_training.theory.construction import save

    transformers_logging.disable_progress_bar()
    made = save(settings.out, settings.letters, settings.n, settings.length)
    print(f"saved: {settings.out}")
    print(f"dimension: {made['dimension']} numbers in use; n ceil(log2 D) is {made['n_times_bits']}")
    print(f"hidden_size: {made['hidden_size']}, in {made['heads']} heads")
    print(f"inverse temperature: {made['inverse_temperature']:g}, for strings of {made['length']} letters")
    for dtype, length in made["proven_length"].items():
        print(f"proven to suffice in {dtype}: " + (f"up to L = {length:,}" if length else "at no length"))


def _table(settings: argparse.Namespace) -> None:
    from dataset_builders.checks import check_integer
    from dataset_builders.files import write_json, write_text
    from synthetic_training.provenance import provenance
    from synthetic_training.theory.measure import as_dicts, measure, sizes
    from synthetic_training.theory.tables import as_table, dimensions_table
    from synthetic_training.training.device import resolve_device

    check_integer("strings", settings.strings, 1)
    check_integer("longest", settings.longest, 12)
    files = [settings.out / f"construction.{kind}" for kind in ("json", "md")]
    for file in files:
        if file.exists():
            raise InputError(f"{file} exists; pass another folder with --out")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    device = resolve_device(settings.device)
    pairs = None if device == "cuda" else _CPU_PAIRS
    rows = as_dicts(
        measure(list(sizes(settings.longest)), settings.strings, device, settings.seed, most_pairs=pairs)
    )
    options = {"strings": settings.strings, "longest": settings.longest, "seed": settings.seed}
    text = f"{dimensions_table()}\n\n{as_table(rows)}\n"
    content = {"kind": "construction", "config": {**options, "device": device}, "results": rows}
    write_json(files[0], {**content, **provenance()})
    write_text(files[1], text)
    print(text)
    print("written: " + ", ".join(map(str, files)))


def _figure(settings: argparse.Namespace) -> None:
    from dataset_builders.checks import check_integer
    from synthetic_training.theory.figure import draw

    check_integer("n", settings.n, 1)
    print("plotted: " + ", ".join(map(str, draw(settings.results, settings.out, settings.n))))


if __name__ == "__main__":
    main()
